-- departure_counts: show that ended × kind of viewers × stratum, in one bucket.
--   in:  window_watched, active_viewer   see there
--        ended                      show_id, end_day: the day of the end
--        $reach_seconds             least seconds of the show in the 28 days up to its end of a viewer reached
--        $near_sole_share           least share of the viewer's seconds, as a decimal
--   out: viewers, seen_again (viewers). Of the viewers reached, kind is sole (all seconds of the 28 days were of the
--        show), near_sole or other; it is touched for those who played the show, but were not reached
with watched as (
    select show_id, end_day, viewer, sum(watched_seconds)::bigint as watched_seconds
    from window_watched
    join ended using (show_id)
    where day between end_day - 27 and end_day
    group by all
)
select
    show_id,
    end_day,
    case
        when watched.watched_seconds < $reach_seconds then 'touched'
        when watched.watched_seconds = active_viewer.watched_seconds then 'sole'
        when watched.watched_seconds >= $near_sole_share * active_viewer.watched_seconds then 'near_sole'
        else 'other'
    end as kind,
    country,
    length_class,
    shows_class,
    count(*) as viewers,
    count(*) filter (is_seen_again) as seen_again
from watched
join active_viewer using (end_day, viewer)
group by all

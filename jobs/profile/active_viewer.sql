-- active_viewer: day of an end × viewer. The viewers of the bucket who were active in the 28 days up to the end.
--   in:  window_watched  see window_watched.sql
--        played          day, viewer: days are numbers
--        ended           show_id, end_day: the day of the end
--        $reach_seconds  least seconds in the 28 days of an active viewer
--   out: watched_seconds (seconds), is_seen_again: whether there was a play in the 28 days after the end; and the
--        stratum, whose viewers are alike: country (most seconds, of equals the first), length_class (binary digits of
--        the seconds: viewers of a class differ by less than a factor of two), shows_class (shows watched, 5 for more)
with ending as (
    select distinct end_day from ended
),
before as (
    select end_day, viewer, country, show_id, sum(watched_seconds)::bigint as watched_seconds
    from window_watched
    join ending on day between end_day - 27 and end_day
    group by all
),
total as (
    select
        end_day,
        viewer,
        sum(watched_seconds)::bigint as watched_seconds,
        least(count(distinct show_id), 5) as shows_class
    from before
    group by all
    having sum(watched_seconds) >= $reach_seconds
),
home as (
    select end_day, viewer, country
    from before
    group by end_day, viewer, country
    qualify row_number() over (partition by end_day, viewer order by sum(watched_seconds) desc, country) = 1
),
seen as (
    select distinct day, viewer from played
),
again as (
    select distinct end_day, viewer
    from seen
    join ending on day between end_day + 1 and end_day + 28
)
select
    end_day,
    viewer,
    watched_seconds,
    country,
    length(bin(watched_seconds)) as length_class,
    shows_class,
    again.viewer is not null as is_seen_again
from total
join home using (end_day, viewer)
left join again using (end_day, viewer)

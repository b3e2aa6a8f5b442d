-- show_counts: show × country, and show with $worldwide. One bucket's part of the audience, in whole numbers that can
-- be summed.
--   in:  watched         viewer × show × country: watched_seconds
--        viewer          watched_seconds in all, is_multilingual, is_new
--        viewer_show     viewer × known show: watched_seconds, days, is_…
--        $reach_seconds  least seconds of the show in the country of a viewer reached
--   out: watched_seconds (seconds, of all viewers), reach and the …_viewers (viewers reached), return_days (viewer-days
--        of viewers reached), valued_ms (milliseconds, of all viewers)
-- Reach: 2 minutes, as Netflix' "starter" (The Verge 2019-10-21). The traits of a viewer (new, multilingual) and of a
-- show for a viewer (loyal, binge, sole) come from all their viewing; only reach depends on the country.
-- Valued: each hour has the weight of its show's share of the viewer's hours, so Σ h_show²/h_all worldwide (Business
-- Insider 2016, as in viewer_show.sql); rounded down to a millisecond for each viewer, so that sums are exact.
with everywhere as (
    select viewer, show_id, $worldwide as country, sum(watched_seconds)::bigint as watched_seconds
    from watched
    group by viewer, show_id
),
here as (
    select viewer, show_id, country, watched_seconds, watched_seconds >= $reach_seconds as reached
    from (
        from everywhere
        union all
        select viewer, show_id, country, watched_seconds from watched
    ) somewhere
)
select
    show_id,
    country,
    sum(here.watched_seconds)::bigint as watched_seconds,
    count(*) filter (reached) as reach,
    coalesce(sum(days) filter (reached), 0)::bigint as return_days,
    count(*) filter (reached and is_loyal) as loyal_viewers,
    count(*) filter (reached and is_binge) as binge_viewers,
    count(*) filter (reached and is_binge5) as binge5_viewers,
    count(*) filter (reached and is_sole) as sole_viewers,
    count(*) filter (reached and is_near_sole) as near_sole_viewers,
    count(*) filter (reached and is_new) as new_viewers,
    count(*) filter (reached and is_new and is_sole) as new_sole_viewers,
    count(*) filter (reached and is_multilingual) as multilingual_viewers,
    coalesce(sum(
        here.watched_seconds::hugeint * 1000 * viewer_show.watched_seconds // nullif(viewer.watched_seconds, 0)
    ), 0)::bigint as valued_ms
from here
join viewer using (viewer)
left join viewer_show using (viewer, show_id)
group by show_id, country

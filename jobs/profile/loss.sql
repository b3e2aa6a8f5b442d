-- loss: country, and $worldwide. One bucket's part of what its viewers lose with a set of shows, in whole numbers that
-- can be summed.
--   in:  show_viewer       show × country × viewer: viewer_number, watched_seconds, viewer_seconds
--        $shows            the ids of the shows of the set
--        $reach_seconds    least seconds of the set in the country of a viewer reached
--        $near_sole_share  least share of a viewer's seconds, as a decimal
--   out: reach of the set, and of the viewers reached left_with_nothing (everything that they watched, anywhere, is of
--        the set) and lose_nearly_all (near_sole_share of it), with at_risk_seconds, all seconds of the latter
-- A set of one show has its counts of show_counts.py.
with chosen as (
    select show_id, country, viewer_number, watched_seconds, viewer_seconds
    from show_viewer
    where list_contains($shows::bigint[], show_id)
),
viewer_here as (
    select
        viewer_number,
        country,
        sum(watched_seconds)::bigint as watched_seconds,
        any_value(viewer_seconds) as viewer_seconds
    from chosen
    group by viewer_number, country
),
viewer_total as (
    select
        viewer_number,
        sum(watched_seconds)::bigint as total_seconds,
        any_value(viewer_seconds) as viewer_seconds
    from viewer_here
    group by viewer_number
),
set_here as (
    select country, watched_seconds, total_seconds, viewer_here.viewer_seconds
    from viewer_here
    join viewer_total using (viewer_number)
    union all
    select $worldwide as country, total_seconds as watched_seconds, total_seconds, viewer_seconds
    from viewer_total
)
select
    country,
    count(*) filter (reached) as reach,
    count(*) filter (reached and total_seconds = viewer_seconds) as left_with_nothing,
    count(*) filter (reached and near_sole) as lose_nearly_all,
    coalesce(sum(viewer_seconds) filter (reached and near_sole), 0)::bigint as at_risk_seconds
from (
    select
        *,
        watched_seconds >= $reach_seconds as reached,
        total_seconds >= $near_sole_share * viewer_seconds as near_sole
    from set_here
) seen
group by country

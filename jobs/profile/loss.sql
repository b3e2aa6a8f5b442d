-- loss: country, and $worldwide. One bucket's part of what its viewers lose with a set of shows, in whole numbers that
-- can be summed.
--   in:  show_viewer       show × country × viewer: viewer_number, watched_seconds, viewer_seconds
--        $shows            the ids of the shows of the set
--        $reach_seconds    least seconds of the set in the country of a viewer reached
--        $near_sole_share  least share of a viewer's seconds, as a decimal
--   out: of the set: watched_seconds (seconds, of all viewers), reach, and of the viewers reached left_with_nothing
--        (everything that they watched, anywhere, is of the set) and lose_nearly_all (near_sole_share of it), with
--        at_risk_seconds, all seconds of the latter; of its single shows: one_by_one and nearly_one_by_one, the sums of
--        their sole and near-sole viewers
-- A set of one show has its counts of show_counts.py.
with chosen as (
    select show_id, country, viewer_number, watched_seconds, viewer_seconds
    from show_viewer
    where list_contains($shows::bigint[], show_id)
),
-- A single show can only lose viewers who spent nearly all of their time on it, who are few.
devoted as (
    select
        show_id,
        viewer_number,
        sum(watched_seconds)::bigint as total_seconds,
        any_value(viewer_seconds) as viewer_seconds
    from chosen
    group by show_id, viewer_number
    having sum(watched_seconds) >= $near_sole_share * any_value(viewer_seconds)
),
show_here as (
    select country, watched_seconds, total_seconds, devoted.viewer_seconds
    from chosen
    join devoted using (show_id, viewer_number)
    union all
    select $worldwide as country, total_seconds as watched_seconds, total_seconds, viewer_seconds
    from devoted
),
of_shows as (
    select
        country,
        count(*) filter (total_seconds = viewer_seconds) as one_by_one,
        count(*) as nearly_one_by_one
    from show_here
    where watched_seconds >= $reach_seconds
    group by country
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
),
of_set as (
    select
        country,
        sum(watched_seconds)::bigint as watched_seconds,
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
)
select
    of_set.*,
    coalesce(one_by_one, 0) as one_by_one,
    coalesce(nearly_one_by_one, 0) as nearly_one_by_one
from of_set
left join of_shows using (country)

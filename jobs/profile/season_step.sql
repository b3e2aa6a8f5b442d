-- season_step: period × show × season × step, from the sums of all buckets.
--   in:  step_counts      see season_counts.py, all buckets
--        season_episode   show × season × step: number, airdate
--   out: the columns of the dataset season_step, in their units
-- Kept: the product of the shares that reached each step up to this one; null from the first step on that nobody was at
-- risk of.
with total as (
    select
        show_id,
        season,
        step,
        sum(viewers)::bigint as viewers,
        sum(at_risk)::bigint as at_risk,
        sum(reached)::bigint as reached,
        sum(waiting)::bigint as waiting
    from step_counts
    group by all
),
ladder as (
    select show_id, season, step, any_value(number) as episode, any_value(airdate) as aired
    from season_episode
    semi join total using (show_id, season)
    group by all
),
counted as (
    select
        ladder.*,
        coalesce(viewers, 0) as viewers,
        coalesce(at_risk, 0) as at_risk,
        coalesce(reached, 0) as reached,
        coalesce(waiting, 0) as waiting,
        case when step = 1 then 1.0 when at_risk > 0 then coalesce(reached, 0) / at_risk end as rate
    from ladder
    left join total using (show_id, season, step)
)
select
    show_id,
    season,
    step,
    episode,
    aired,
    viewers,
    case when step > 1 then at_risk end as at_risk,
    case when step > 1 then reached end as reached,
    case when step > 1 then waiting end as waiting,
    case when bool_and(rate is not null) over so_far then product(coalesce(rate, 0)) over so_far end as kept
from counted
window so_far as (partition by show_id, season order by step)

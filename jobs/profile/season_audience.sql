-- season_audience: period × show × season, from the sums of all buckets.
--   in:  season_counts    see season_counts.py, all buckets
--        season_episode   show × season × step: number, airdate
--        $step_days       length of the window in days
--   out: the columns of the dataset season_audience, in their units
-- Release: 'at once' on one day; 'in batches' with two episodes or more a day of release on average; otherwise by the
-- average number of days between the days of release: 'several a week' below 5, 'weekly' up to 10, then 'slower'. The
-- limits are Marquee's own.
with total as (
    select
        show_id,
        season,
        sum(starters)::bigint as starters,
        sum(finishers)::bigint as finishers,
        sum(mid_season)::bigint as mid_season
    from season_counts
    group by all
),
ladder as (
    select show_id, season, step, any_value(number) as number, any_value(airdate) as airdate
    from season_episode
    group by all
),
aired as (
    select
        show_id,
        season,
        count(*) as episodes,
        count(distinct airdate) as release_days,
        min(number) as first_episode,
        max(number) as last_episode,
        min(airdate) as first_aired,
        max(airdate) as last_aired
    from ladder
    group by all
)
select
    show_id,
    season,
    episodes,
    first_episode,
    last_episode,
    first_aired,
    last_aired,
    case
        when episodes = 1 then 'one episode'
        when release_days = 1 then 'at once'
        when episodes >= 2 * release_days then 'in batches'
        when last_aired - first_aired < 5 * (release_days - 1) then 'several a week'
        when last_aired - first_aired <= 10 * (release_days - 1) then 'weekly'
        else 'slower'
    end as release_kind,
    $step_days::bigint as window_days,
    starters,
    finishers,
    mid_season
from total
join aired using (show_id, season)

-- Episodes in the order of their seasons: regular ones with a season, a number, an air date and a runtime. Specials
-- have no number; without an air date an episode has no time, and without a runtime nobody can be said to have watched
-- it.
--
-- in:   latest_episode (see latest.sql), latest_runtime (see latest_episodes.sql)
-- out:  episode: show_id, season, number, airdate, runtime_seconds, and season_key, a number for each show and season;
--       sorted by its key
select
    episode_id,
    latest_runtime.show_id,
    season,
    number,
    airdate,
    runtime_seconds,
    dense_rank() over (order by latest_runtime.show_id, season) as season_key
from latest_episode
join latest_runtime using (episode_id)
where
    coalesce(type, 'regular') = 'regular'
    and season is not null
    and number is not null
    and airdate is not null
    and runtime_seconds is not null
order by episode_id

-- Episodes with a runtime: their own, else their show's average, else their show's plan. A runtime of 0 is unknown.
--
-- in:   latest_show, latest_episode (see latest.sql)
-- out:  episode: show_id, runtime_seconds (null if unknown); sorted by its key
select
    episode_id,
    show_id,
    60 * coalesce(
        nullif(latest_episode.runtime_minutes, 0),
        nullif(average_runtime_minutes, 0),
        nullif(latest_show.runtime_minutes, 0)
    ) as runtime_seconds
from latest_episode
left join latest_show using (show_id)
order by episode_id

-- episode_day: day × episode. Runs twice: over a bucket's viewer_day, then over the sums of all buckets.
--   in:  episode_plays   rows with episode_id, plays, watched_seconds
--   out: plays (events), watched_seconds (seconds)
select
    episode_id,
    sum(plays)::bigint as plays,
    sum(watched_seconds)::bigint as watched_seconds
from episode_plays
group by episode_id

-- viewer_day: day × viewer × episode × country × language, of one bucket of viewers.
--   in:  viewer_hour   the bucket's rows of all hours of the day
--   out: plays (events), watched_seconds (seconds in playing state, by the time of play, not of airing)
-- Source of watched_seconds: wall-clock seconds of play per viewer × episode × UTC hour, like Netflix' hours viewed
-- (about.netflix.com/news/top-10-things-about-netflix-top-10).
select
    viewer,
    episode_id,
    country,
    language,
    sum(plays)::bigint as plays,
    sum(watched_seconds)::bigint as watched_seconds
from viewer_hour
group by all

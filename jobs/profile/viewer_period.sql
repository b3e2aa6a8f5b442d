-- viewer_period: viewer × episode × country × language, over all days of a period except the last. Independent of the
-- schedule.
--   in:  played   the state so far, and viewer_day of later days with the bits of their days
--   out: plays (events), watched_seconds (seconds), days_low and days_high (bit n: a play on day n, or 64 + n, of the
--        period)
select
    viewer,
    episode_id,
    country,
    language,
    sum(plays)::bigint as plays,
    sum(watched_seconds)::bigint as watched_seconds,
    bit_or(days_low) as days_low,
    bit_or(days_high) as days_high
from played
group by all

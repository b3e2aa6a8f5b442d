-- watched: viewer × show × country in the period.
--   in:  played          viewer × episode × country × language: watched_seconds, days_low, days_high (a key may have
--                        several rows)
--        catalogue       episode_id, show_id
--        $unknown_show   the show of an episode that is not in the catalogue
--   out: watched_seconds (seconds), days_low and days_high (bit n: a play on day n, or 64 + n, of the period)
select
    viewer,
    coalesce(show_id, $unknown_show) as show_id,
    country,
    sum(watched_seconds)::bigint as watched_seconds,
    bit_or(days_low) as days_low,
    bit_or(days_high) as days_high
from played
left join catalogue using (episode_id)
group by all

-- audience_base: period × country, and the period with country '**', from the sums of all buckets.
--   in:  base_counts   see base_counts.sql, all buckets
--        $min_cell     suppression: a row with fewer viewers has only the seconds
--   out: the columns of the dataset audience_base, in their units
with total as (
    select
        country,
        sum(active_viewers)::bigint as active_viewers,
        sum(watched_seconds)::bigint as watched_seconds,
        sum(multilingual_viewers)::bigint as multilingual_viewers,
        sum(new_viewers)::bigint as new_viewers
    from base_counts
    group by country
)
select
    country,
    case when large then active_viewers end as active_viewers,
    watched_seconds,
    case when large then multilingual_viewers end as multilingual_viewers,
    case when large then new_viewers end as new_viewers
from (select *, active_viewers = 0 or active_viewers >= $min_cell as large from total) published

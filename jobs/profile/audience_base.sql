-- audience_base: period × country, and the period with country '**', from the sums of all buckets.
--   in:  base_counts   see show_counts.py, all buckets
--   out: the columns of the dataset audience_base, in their units
select
    country,
    sum(active_viewers)::bigint as active_viewers,
    sum(watched_seconds)::bigint as watched_seconds,
    sum(multilingual_viewers)::bigint as multilingual_viewers,
    sum(new_viewers)::bigint as new_viewers
from base_counts
group by country

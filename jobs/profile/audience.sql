-- audience: period × show × country, and period × show with $worldwide, from the sums of all buckets.
--   in:  show_counts         see show_counts.py, all buckets
--        episode_countries   see show_counts.py, all buckets
--        catalogue           episode_id, show_id, runtime_seconds
--        $knows_loyalty      whether enough of the period has passed to tell loyal viewers
--        $unknown_show       its rows have only reach and seconds, because its episodes belong to many unknown shows
--   out: the columns of the dataset audience, in their units
-- Views: hours viewed / runtime, over the show's episodes that were played; null, not 0, if a runtime is unknown
-- (about.netflix.com/news/top-10-things-about-netflix-top-10).
-- Loyalty: average audience / reach (jllmedia.co.uk/articles/understanding-the-key-terms-in-tv-media), which is the
-- seconds of each viewer reached, divided by the available runtime; at most 1.
with total as (
    select
        show_id,
        country,
        sum(watched_seconds)::bigint as watched_seconds,
        sum(reach)::bigint as reach,
        sum(return_days)::bigint as return_days,
        sum(loyal_viewers)::bigint as loyal_viewers,
        sum(binge_viewers)::bigint as binge_viewers,
        sum(binge5_viewers)::bigint as binge5_viewers,
        sum(sole_viewers)::bigint as sole_viewers,
        sum(near_sole_viewers)::bigint as near_sole_viewers,
        sum(new_viewers)::bigint as new_viewers,
        sum(new_sole_viewers)::bigint as new_sole_viewers,
        sum(multilingual_viewers)::bigint as multilingual_viewers,
        sum(valued_ms)::bigint as valued_ms
    from show_counts
    group by show_id, country
),
available as (
    select
        show_id,
        country,
        case when count(*) = count(runtime_seconds) then sum(runtime_seconds)::bigint end as runtime_seconds
    from (
        select episode_id, country from episode_countries
        union
        select episode_id, $worldwide from episode_countries
    ) played
    join catalogue using (episode_id)
    group by show_id, country
),
measured as (
    select
        *,
        show_id <> $unknown_show as known,
        watched_seconds / nullif(reach, 0) as average_seconds,
        watched_seconds / nullif(reach, 0) / runtime_seconds as loyalty
    from total
    left join available using (show_id, country)
)
select
    show_id,
    country,
    reach,
    watched_seconds,
    runtime_seconds,
    watched_seconds / runtime_seconds as views,
    case when known then average_seconds end as average_seconds,
    case when loyalty > 1 then 1 else loyalty end as loyalty,
    case when known then return_days / nullif(reach, 0) end as return_days,
    case when known and $knows_loyalty then loyal_viewers end as loyal_viewers,
    case when known then binge_viewers end as binge_viewers,
    case when known then binge5_viewers end as binge5_viewers,
    case when known then sole_viewers end as sole_viewers,
    case when known then near_sole_viewers end as near_sole_viewers,
    case when known then new_viewers end as new_viewers,
    case when known then new_sole_viewers end as new_sole_viewers,
    case when known then multilingual_viewers end as multilingual_viewers,
    case when known then valued_ms / 1000 end as valued_seconds
from measured

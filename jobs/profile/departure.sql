-- departure: show that ended × kind of viewers, from the sums of all buckets.
--   in:  departure_counts, stratum_counts   see there, all buckets
--        ended                              show_id, end_day, ended (date), days_before
--   out: the columns of the dataset departure, in their units
-- Viewers alike: of the same stratum, active in the same 28 days, without any play of the show. Each viewer compared is
-- expected to be seen again with their share (direct standardisation). A stratum without them compares nobody. The
-- variance of what is expected counts how few viewers alike there are: of a share q = (seen again + 1) / (viewers + 2),
-- which is never 0 or 1, it is q (1 - q) / viewers.
with own as (
    select
        show_id,
        end_day,
        kind,
        country,
        length_class,
        shows_class,
        sum(viewers)::bigint as viewers,
        sum(seen_again)::bigint as seen_again
    from departure_counts
    group by all
),
everybody as (
    select
        end_day,
        country,
        length_class,
        shows_class,
        sum(viewers)::bigint as viewers,
        sum(seen_again)::bigint as seen_again
    from stratum_counts
    group by all
),
touched as (
    select
        show_id,
        end_day,
        country,
        length_class,
        shows_class,
        sum(viewers)::bigint as viewers,
        sum(seen_again)::bigint as seen_again
    from own
    group by all
),
alike as (
    select
        show_id,
        country,
        length_class,
        shows_class,
        everybody.viewers - touched.viewers as viewers,
        everybody.seen_again - touched.seen_again as seen_again
    from touched
    join everybody using (end_day, country, length_class, shows_class)
    where everybody.viewers > touched.viewers
),
expecting as (
    select
        own.*,
        own.viewers * alike.seen_again / alike.viewers as expected,
        own.viewers * own.viewers * (alike.seen_again + 1) / (alike.viewers + 2)
        * (alike.viewers - alike.seen_again + 1) / (alike.viewers + 2)
        / alike.viewers as variance
    from own
    left join alike using (show_id, country, length_class, shows_class)
    where kind <> 'touched'
),
compared as (
    select
        show_id,
        kind,
        sum(viewers)::bigint as viewers,
        sum(seen_again)::bigint as seen_again,
        coalesce(sum(viewers) filter (expected is not null), 0)::bigint as compared,
        coalesce(sum(seen_again) filter (expected is not null), 0)::bigint as compared_seen,
        -- In the order of the strata, so that a sum of fractions is always the same.
        list_sum(list(expected order by country, length_class, shows_class)) as expected_seen,
        list_sum(list(variance order by country, length_class, shows_class)) as expected_variance
    from expecting
    group by all
)
select
    show_id,
    kind,
    ended,
    days_before,
    viewers,
    seen_again,
    compared,
    compared_seen,
    expected_seen,
    expected_variance
from compared
join ended using (show_id)

-- viewer: one row for each viewer of the bucket in the period, over all countries.
--   in:  played                 viewer × episode × country × language: watched_seconds
--        viewer_seen            viewer, first_day: as of the period's last day
--        $first_day             the period's first day
--        $multilingual_share    least share of a viewer's seconds in a language, as a decimal
--        $multilingual_seconds  least seconds in that language
--   out: watched_seconds in all (seconds), is_multilingual, is_new
-- Multilingual: at least 10 % and 30 minutes in each of at least two languages. The language is that of the play's
-- audio, not the original language of the show; variants of one language (en-US, en-GB) count as one. This rule is
-- Marquee's own, because the schedule service has only original languages.
-- New: first seen in the period. Reported separately, because a viewer who has just signed up has watched only one show
-- by construction (compare Amazon's "first stream": fastcompany.com/40544685).
with spoken as (
    select
        viewer,
        split_part(language, '-', 1) as language,
        sum(watched_seconds)::bigint as watched_seconds
    from played
    group by all
),
total as (
    select viewer, sum(watched_seconds)::bigint as watched_seconds
    from spoken
    group by viewer
)
select
    viewer,
    any_value(total.watched_seconds) as watched_seconds,
    count(*) filter (
        spoken.watched_seconds >= $multilingual_seconds
        and spoken.watched_seconds >= $multilingual_share * total.watched_seconds
    ) >= 2 as is_multilingual,
    any_value(first_day) >= $first_day::date as is_new
from spoken
join total using (viewer)
left join viewer_seen using (viewer)
group by viewer

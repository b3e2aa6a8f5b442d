-- viewer_show: viewer × known show in the period, over all countries.
--   in:  watched             viewer × show × country: watched_seconds, days_low, days_high
--        viewer              watched_seconds in all
--        sitting             viewer × sitting × episode: watched_seconds (sittings with fewer than $binge_episodes may
--                            be missing)
--        catalogue           episode_id, show_id, runtime_seconds
--        $unknown_show       stands for unknown shows: it has no rows here, but counts in a viewer's total
--        $spans              the period's weeks (for a week or a day: its days), each as a bitmap of its days
--        $loyal_share        least share of the spans with a play, as a decimal
--        $near_sole_share    least share of the viewer's seconds, as a decimal
--        $binge_completion   least share of an episode's runtime that counts, as a decimal
--        $binge_episodes     least number of episodes of a binge, $binge5_episodes of a long one
--   out: watched_seconds (seconds), days (with a play), is_loyal, is_sole, is_near_sole, is_binge, is_binge5
-- Loyal: a play in at least half of the weeks (Marquee's own rule; loyalty in audience.sql is another measure: how much
-- of a show its viewers watch).
-- Sole and near-sole: all, or 90 %, of a viewer's seconds are of this show. Netflix' "valued hours" give the highest
-- weight to a viewer's only show (Business Insider 2016, via jewishnews.com/2016/02/02/how-netflix-measures-success).
-- Binge: 3 episodes of one show in a sitting (Netflix/Harris 2013 says 2 to 6: businessinsider.in 27309803), or 5
-- (Deloitte Digital Democracy: digitalreview.co), each to 70 % of its runtime (a "watcher": Netflix to the UK Lords
-- committee 2019, WARC 42811). An episode without a known runtime never counts.
with by_show as (
    select
        viewer,
        show_id,
        sum(watched_seconds)::bigint as watched_seconds,
        bit_or(days_low) as days_low,
        bit_or(days_high) as days_high
    from watched
    where show_id <> $unknown_show
    group by all
),
completed as (
    select viewer, started_at, show_id, count(*) as episodes
    from sitting
    join catalogue using (episode_id)
    where watched_seconds >= $binge_completion * runtime_seconds
    group by all
),
binge as (
    select viewer, show_id, max(episodes) as episodes
    from completed
    group by all
)
select
    viewer,
    show_id,
    by_show.watched_seconds,
    bit_count(days_low) + bit_count(days_high) as days,
    len(list_filter(
        $spans::struct(low ubigint, high ubigint)[],
        lambda span: (days_low & span.low) <> 0 or (days_high & span.high) <> 0
    )) >= $loyal_share * len($spans) as is_loyal,
    by_show.watched_seconds = viewer.watched_seconds as is_sole,
    by_show.watched_seconds >= $near_sole_share * viewer.watched_seconds as is_near_sole,
    coalesce(binge.episodes >= $binge_episodes, false) as is_binge,
    coalesce(binge.episodes >= $binge5_episodes, false) as is_binge5
from by_show
join viewer using (viewer)
left join binge using (viewer, show_id)

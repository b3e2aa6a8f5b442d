-- Sittings: viewer × sitting × episode, of the sittings to keep.
--   in:  play_interval          viewer, episode_id, watched_seconds, first_at, last_at: a viewer's rows of viewer_hour
--                               (one episode in one hour), or sittings of whole days, which are play intervals too
--        $sitting_gap_seconds   a pause of this length or longer ends a sitting
--        $binge_episodes        keep a sitting with at least this number of different episodes,
--        $starts_before         or one that starts before this instant (null: no such rule),
--        $lasts_until           or one that ends at this instant or later (null: no such rule)
--   out: started_at (identifies the sitting of a viewer), watched_seconds (seconds), first_at and last_at (UTC) of the
--        episode in the sitting
-- A sitting is the play of one viewer, of any shows, with pauses shorter than 30 minutes, like "in one go" in published
-- definitions of a binge (Netflix/Harris 2013: businessinsider.in 27309803). A row counts as play from its first event
-- to its last.
-- Joining sittings gives the same result as joining all their rows: a row within a sitting is near a row of that
-- sitting.
with marked as (
    select
        viewer,
        episode_id,
        watched_seconds,
        first_at,
        last_at,
        first_at < max(last_at) over earlier + to_seconds($sitting_gap_seconds) as goes_on
    from play_interval
    window earlier as (partition by viewer order by first_at rows between unbounded preceding and 1 preceding)
),
sat as (
    -- The sitting of a row starts at the latest start so far. Of rows that start at the same instant, any may be marked
    -- as the first.
    select
        *,
        max(case when goes_on then null else first_at end) over (partition by viewer order by first_at) as started_at
    from marked
),
by_episode as (
    select
        viewer,
        started_at,
        episode_id,
        sum(watched_seconds)::bigint as watched_seconds,
        min(first_at) as first_at,
        max(last_at) as last_at
    from sat
    group by all
)
select *
from by_episode
window sitting as (partition by viewer, started_at)
qualify
    count(*) over sitting >= $binge_episodes
    or started_at < $starts_before::timestamp
    or max(last_at) over sitting >= $lasts_until::timestamp

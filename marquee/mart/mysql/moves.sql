-- sqlfluff:dialect:mysql
-- Episodes that new dimensions move to another show in MySQL, and the sums of their viewership. See viewing.py.
--
--   in:  staged_dim_episode   the episodes of all captures
--        {{side}}             show_left or show_joined
--   out: moved_episode; day x show x country x daypart with any seconds

-- name: note_moved
insert into moved_episode
select
    d.episode_id,
    d.show_id as show_left,
    s.show_id as show_joined
from dim_episode d
join staged_dim_episode s on s.episode_id = d.episode_id
where s.show_id <> d.show_id;

-- name: note_lost
insert into moved_episode
select
    d.episode_id,
    d.show_id as show_left,
    0 as show_joined
from dim_episode d
left join staged_dim_episode s on s.episode_id = d.episode_id
where s.episode_id is null and d.show_id <> 0;

-- The viewership is read by its key, day and episode: all of it may be many times as much.
-- name: moved_sums
with loaded as (
    select distinct cast(starts_at as date) as day from load_ledger where dataset = 'viewership'
)
select straight_join
    f.day,
    m.{{side}} as show_id,
    f.country,
    f.daypart,
    sum(f.watched_seconds) as watched_seconds
from loaded l
cross join moved_episode m
join fact_viewership f on f.day = l.day and f.episode_id = m.episode_id
group by f.day, m.{{side}}, f.country, f.daypart
having sum(f.watched_seconds) > 0;

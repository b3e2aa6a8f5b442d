-- The latest version of each captured show and episode, as views.
--
-- in:   shows, episodes (as captured, each row with requested_day and fetched_at, UTC)
-- out:  latest_show      show: the version that the service updated last, and of several the one fetched last
--       show_label       show: label, unique: the name, with the id if several shows have it, or if there is none
--       latest_episode   episode: the version captured with the latest version of its show
create temp view latest_show as
select *
from shows
qualify row_number() over (
    partition by show_id
    order by updated desc nulls last, fetched_at desc, requested_day desc
) = 1;

create temp view latest_episode as
select episodes.*
from episodes
left join shows using (show_id, requested_day, fetched_at)
qualify row_number() over (
    partition by episode_id
    order by shows.updated desc nulls last, episodes.fetched_at desc, episodes.requested_day desc
) = 1;

create temp view show_label as
select
    show_id,
    case
        when name is null then '#' || show_id
        when count(*) over (partition by name) > 1 then name || ' (#' || show_id || ')'
        else name
    end as label
from latest_show;

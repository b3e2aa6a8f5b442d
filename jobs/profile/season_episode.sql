-- season_episode: episode of a season, with its step: its place in the order of the season's numbers.
--   in:  season_list   episode_id, show_id, season, number, airdate, runtime_seconds: regular episodes that have all of
--                      these, of the seasons played in the period, aired up to its last day
--        $first_day    the period's first day
--   out: step (1 for the season's first captured episode; episodes with the same number are one step), airdate and
--        air_day of the step (the first of its episodes; air_day counts from the period's first day, and is negative
--        before it), and number, runtime_seconds
select
    episode_id,
    show_id,
    season,
    number,
    runtime_seconds,
    dense_rank() over (partition by show_id, season order by number) as step,
    min(airdate) over (partition by show_id, season, number) as airdate,
    min(airdate) over (partition by show_id, season, number) - $first_day::date as air_day
from season_list

-- Parses lines to play events, fast. A line is `sure` if it certainly satisfies the event contract. The reference
-- parser (contract.py) validates all other lines, and must accept every line that is sure here.
--
-- in:   lines (row, text)
--       {{fields}}                  fields of `line`, the structure of a producer's line, by name: JSON as text
--       $structure                  structure of the fields, for from_json
--       {{read_line}}               the line as a structure, or null; see parsing.py
--       {{key_of_event}}            the key of event_id, or event_id itself; see parsing.py
--       {{is_real_hour}}            not contains(received_at, 'T24') if that is an instant of the window; else true
--       $skeleton_bytes             bytes of a line without spaces and with empty fields
--       {{is_strict}}               whether a text that this parser accepts is JSON, for sure; see parsing.py
--       $instant                    pattern of an instant of the contract
--       {{any_instant}}             the timestamp of an instant of that form; see parsing.py
--       $window_start, $window_end  range of received_at of the hour's events
-- out:  one row for each line: row, sure, and the event's fields. user_id, country, language and device keep the quotes
--       of their JSON text: they are removed once for each distinct text.
--
-- A number is a whole number of the contract if casting it back gives the same text: "60", 60.0 and 6e1 do not.
with parsed as (
    select row, text, {{read_line}} as line from lines
),
field as (
    select
        row,
        text,
        {{fields}}
    from parsed
),
typed as (
    select
        row,
        user_id,
        {{key_of_event}} as event_key,
        -- The cast alone would accept blanks in place of digits, and the hour 24.
        case
            when received_at like '____-__-__T__:__:__.___Z' and not contains(received_at, ' ') and {{is_real_hour}}
                then try_cast(received_at as timestamp)
            -- Near the first and the last year, an instant in another zone may be in no year that there is.
            when received_at between '0002' and '9999' and regexp_full_match(received_at, $instant)
                then {{any_instant}}
        end as received_at,
        try_cast(episode_id as bigint) as episode_id,
        country,
        language,
        device,
        try_cast(utc_offset_minutes as smallint) as utc_offset_minutes,
        try_cast(watched_seconds as smallint) as watched_seconds,
        -- A text begins with a quote, and without a backslash nothing in it is escaped.
        event_id >= '"' and event_id < '#' and not contains(event_id, '\') and length(event_id) between 3 and 66
        and user_id >= '"' and user_id < '#' and not contains(user_id, '\') and length(user_id) between 3 and 130
        and try_cast(episode_id as bigint)::varchar = episode_id
        and try_cast(utc_offset_minutes as smallint)::varchar = utc_offset_minutes
        and try_cast(watched_seconds as smallint)::varchar = watched_seconds
        and country is not null and language is not null and device is not null
        -- The parser accepts some text that is not JSON: trailing commas, NaN, Infinity, unlimited nesting. A line with
        -- exactly the length of its fields and names cannot contain any of it; any other line is searched.
        and case
            when
                strlen(text) = $skeleton_bytes + suffix(text, chr(10))::integer
                + strlen(event_id) + strlen(field.received_at) + strlen(user_id) + strlen(episode_id) + strlen(country)
                + strlen(utc_offset_minutes) + strlen(language) + strlen(device) + strlen(watched_seconds)
                then true
            else
                {{is_strict}}
                and not regexp_matches(field.received_at, '[[:space:]]')
        end as well_formed
    from field
)
select
    * exclude (well_formed),
    coalesce(
        well_formed
        and received_at >= $window_start and received_at < $window_end
        and episode_id between 1 and 9007199254740992
        and utc_offset_minutes between -720 and 840
        and watched_seconds between 0 and 3600,
        false
    ) as sure
from typed

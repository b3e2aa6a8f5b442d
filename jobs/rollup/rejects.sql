-- Finds the reject reasons of lines, fast. A line has a reason here only if the reference parser (contract.py)
-- certainly gives the same; the reference parser judges all other lines. The rules are in its order.
--
-- in:   lines (row, text)
--       {{fields}}                  fields of `line`, the structure of a producer's line, by name: JSON as text
--       $structure                  structure of the fields, for from_json
--       $skeleton_bytes             bytes of a line without spaces and with empty fields
--       {{is_strict}}               whether a text that this parser accepts is JSON, for sure; see parsing.py
--       $several                    pattern of a place where one object ends and another begins
--       $instant                    pattern of an instant of the contract
--       {{any_instant}}             the timestamp of an instant of that form; see parsing.py
--       $window_start, $window_end  range of received_at of the hour's events
-- out:  one row for each line: row; reason (null: not certain); language, as JSON; later. The reason 'language' says
--       that the fields before it are right: if the language is right, too, the reason is `later` (null: not certain).
--
-- `case` evaluates a condition only for the lines that no condition before it decides, so costly ones come late.
with valid as (
    -- from_json alone would raise an error for each line that is not JSON, and an error takes 8 µs.
    select row, text, json_valid(text) as is_valid from lines
),
parsed as (
    select row, text, is_valid, case when is_valid then try(from_json(text, $structure)) end as line from valid
),
field as (
    select
        row,
        text,
        is_valid,
        line is not null and regexp_matches(text, '^[ \t\r\n]*\{') as is_object,
        {{fields}}
    from parsed
),
read as (
    select
        * replace (
            -- In JSON as DuckDB writes it, only quotes, backslashes and control characters are escaped. The first two
            -- may be in an id. A backslash that is left belongs to a control character, which may not.
            case when contains(event_id, '\') then regexp_replace(event_id, '\\["\\]', '_', 'g') else event_id end
                as event_id,
            case when contains(user_id, '\') then regexp_replace(user_id, '\\["\\]', '_', 'g') else user_id end
                as user_id
        ),
        episode_id || utc_offset_minutes || watched_seconds as numbers,
        -- The parser accepts some text that is not JSON (see parse.sql).
        is_object
        and case
            when
                -- Without a backslash, the length of a text is that of its JSON without the quotes. Only a number with
                -- a point may be longer than in the line, where it was 6e1. So a line of texts and numbers has no
                -- room.
                not contains(text, '\')
                and strlen(text) = $skeleton_bytes::bigint + suffix(text, chr(10))::integer
                + strlen(field.event_id) + strlen(received_at) + strlen(field.user_id) + strlen(numbers)
                + strlen(country) + strlen(language) + strlen(device)
                and received_at < ':' and received_at like '____-__-__T%'
                and field.event_id < '#' and field.user_id < '#' and country < '#' and language < '#' and device < '#'
                and episode_id < ':' and utc_offset_minutes < ':' and watched_seconds < ':'
                -- Neither a point, nor -NaN, nor -Infinity in any case.
                and not contains(numbers, '.') and not contains(numbers, 'n') and not contains(numbers, 'N')
                then true
            else
                {{is_strict}}
        end as is_plain,
        -- Near the first and the last year, an instant in another zone may be in no year that there is.
        received_at between '0002' and '9999' as is_certain_year,
        received_at like '____-__-__T__:__:__.___Z' and not regexp_matches(received_at, '[[:space:]]') as is_usual,
        case
            when not is_certain_year or contains(received_at, 'T24') then null
            when is_usual then try_cast(received_at as timestamp)
            when regexp_matches(received_at, '(Z|[+-]\d\d:\d\d)$') then {{any_instant}}
        end as instant
    from field
)
select
    row,
    case
        when is_plain
            then
                case
                    when
                        event_id is null or not starts_with(event_id, '"') or length(event_id) not between 3 and 66
                        or contains(event_id, '\')
                        then 'event_id'
                    when
                        received_at is null
                        or not (is_usual and instant is not null)
                        and not regexp_full_match(received_at, $instant)
                        then 'received_at'
                    when not is_certain_year then null
                    when instant is null then 'received_at'
                    when instant < $window_start or instant >= $window_end then 'outside_hour'
                    when
                        user_id is null or not starts_with(user_id, '"') or length(user_id) not between 3 and 130
                        or contains(user_id, '\')
                        then 'user_id'
                    when
                        try_cast(episode_id as bigint)::varchar = episode_id
                        and episode_id::bigint between 1 and 9007199254740992
                        and length(country) = 4 and regexp_full_match(country, '"[A-Z]{2}"')
                        and try_cast(utc_offset_minutes as smallint)::varchar = utc_offset_minutes
                        and utc_offset_minutes::smallint between -720 and 840
                        then 'language'
                    when episode_id is null or not regexp_full_match(episode_id, '-?\d+') then 'episode_id'
                    when length(episode_id) > 17 then 'episode_id'
                    when coalesce(try_cast(episode_id as bigint)::varchar != episode_id, true) then null
                    when episode_id::bigint not between 1 and 9007199254740992 then 'episode_id'
                    when country is null or not regexp_full_match(country, '"[A-Z]{2}"') then 'country'
                    when utc_offset_minutes is null or not regexp_full_match(utc_offset_minutes, '-?\d+')
                        then 'utc_offset_minutes'
                    when length(utc_offset_minutes) > 17 then 'utc_offset_minutes'
                    when coalesce(try_cast(utc_offset_minutes as bigint)::varchar != utc_offset_minutes, true) then null
                    else 'utc_offset_minutes'
                end
        -- A comma before the brackets at the end is in no text. Text after an object may be another event.
        when
            is_object and not regexp_matches(text, $several)
            and (
                list_has_any(['NaN', 'Infinity', '-Infinity'], [episode_id, utc_offset_minutes, watched_seconds])
                or regexp_matches(text, ',\s*[}\]][}\]\s]*$')
            )
            then 'not_json'
        -- A text that begins as JSON may hold events.
        when
            is_valid
            and regexp_matches(text, '^[ \t\r\n]*("[^ \t\r\n\x{FEFF}{\["\\]|(null|true|false|-?\d{1,17})[ \t\r\n]*$)')
            then 'not_an_object'
        when is_valid then null
        when trim(text, ' ' || chr(9) || chr(10) || chr(13)) = '' then 'blank'
        when not regexp_matches(text, '^[ \t\n\r]*[{\["\-0-9tfn\x{FEFF}]') then 'not_json'
        -- This parser refuses some numbers, and halves of surrogate pairs, that are JSON.
        when
            starts_with(text, '{') and not regexp_matches(text, '\\u[dD]') and not regexp_matches(text, $several)
            and not regexp_matches(text, '[:,\[]\s*-?\d[\d.]*[eE]|[:,\[]\s*-?[\d.]{18}')
            then 'not_json'
    end as reason,
    language,
    case
        when device is null or not regexp_full_match(device, '"[a-z0-9_\-]{1,32}"') then 'device'
        when watched_seconds is null or not regexp_full_match(watched_seconds, '-?\d+') then 'watched_seconds'
        when length(watched_seconds) > 17 then 'watched_seconds'
        when try_cast(watched_seconds as bigint) not between 0 and 3600 then 'watched_seconds'
    end as later
from read

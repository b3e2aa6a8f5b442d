-- Shows that ended, and the day of their end. Of a show, the last version counts that has the status Ended and such a
-- day, as in the question after-the-end; the service may revert the status later.
--
-- in:   shows (as captured, each row with requested_day and fetched_at)
-- out:  show: ended; sorted by its key
select show_id, ended
from shows
where status = 'Ended' and ended is not null
qualify
    row_number() over (
        partition by show_id
        order by updated desc nulls last, fetched_at desc, requested_day desc
    ) = 1
order by show_id

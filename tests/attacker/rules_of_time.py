"""The attacker's rules on periods: what is in a day is in its week, and yesterday's quarter to date is in today's."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from tests.attacker.counts import AUDIENCE, BASE, DEPARTURE, GENRE, TABLES, Counts
from tests.attacker.published import Key, Published, grouped

DAYS_BEFORE = 28
"""Days up to the end of a show that its viewers are counted from."""

GROWING = {
    AUDIENCE: ("reach", "new_viewers", "binge_viewers", "binge5_viewers"),
    BASE: ("active_viewers", "new_viewers"),
    GENRE: ("reach",),
}
"""Sets of viewers of a period that are parts of those of every longer period around it."""
NEW = {AUDIENCE: "new_viewers", BASE: "new_viewers"}
"""Sets of viewers of a period that have no viewer in common with those of another period."""


def periods(counts: Counts) -> None:
    """State that days are parts of weeks, months and quarters, and that viewers are new once: week against days."""
    inner = _inner(counts)
    for table, columns in GROWING.items():
        block_of = _block(table)
        for subject, keys in grouped(counts.keys(table), 0).items():
            there = {str(key[0]) for key in keys}
            for long in there & inner.keys():
                within = [short for short in inner[long] if short in there]
                for column in columns:
                    whole = counts.of(table, column, long, *subject)
                    for short in within:
                        counts.model.state("periods", block_of(subject), [whole],
                                           [counts.of(table, column, short, *subject)])  # fmt: skip
                for days in _chains(inner[long], counts):
                    present = [short for short in days if short in there]
                    if (column := NEW.get(table, "")) and present:
                        new = [counts.of(table, column, short, *subject) for short in present]
                        new = [one for one in new if one is not None]
                        counts.model.state(
                            "periods", block_of(subject), [counts.of(table, column, long, *subject)], new
                        )
                    if len(present) == 1 and _hours(counts, days) == counts.published.hours(long):
                        counts.model.equal("periods", block_of(subject), [counts.of(table, columns[0], long, *subject)],
                                           [counts.of(table, columns[0], present[0], *subject)])  # fmt: skip


def _inner(counts: Counts) -> Mapping[str, Sequence[str]]:
    """Return the periods that lie in each period, shorter than it."""
    spans = counts.published.spans
    return {
        long: [
            short
            for short, (begin, until) in spans.items()
            if short != long and start <= begin and until <= end and until - begin < end - start
        ]
        for long, (start, end) in spans.items()
    }


def _chains(inner: Sequence[str], counts: Counts) -> Iterator[Sequence[str]]:
    """Yield the periods of each length: those of a length have no hour in common."""
    lengths: dict[str, list[str]] = defaultdict(list)
    for one in inner:
        lengths[str(counts.published.runs["audience_base", one]["grain"])].append(one)
    yield from lengths.values()


def _hours(counts: Counts, periods: Sequence[str]) -> int:
    return sum(counts.published.hours(one) for one in periods)


def _block(table: str) -> Callable[[Key], Hashable]:
    return (lambda subject: subject[0]) if table == AUDIENCE else (lambda _subject: "base")


def to_date(today: Counts, before: Counts) -> None:
    """State that what grew since yesterday has grown by viewers of today: quarter to date against the day before's.

    That holds for periods whose hours of yesterday are the same runs today. A period that did not change, has the same
    counts in both marts.
    """
    for period in today.published.spans.keys() & before.published.spans.keys():
        marts = today.published, before.published
        same = same_run(*marts, period)
        if not same and not only_grew(*marts, period):
            continue
        days = days_since(*marts, period)
        for table, columns in GROWING.items():
            block_of = _block(table)
            for key in before.keys(table):
                if key[0] != period:
                    continue
                if same:
                    for column in TABLES[table].counts:
                        today.model.equal("to date", block_of(key[1:]), [today.of(table, column, *key)],
                                          [before.of(table, column, *key)])  # fmt: skip
                    continue
                for column in columns:
                    today.model.state("to date", block_of(key[1:]), [today.of(table, column, *key)],
                                      [before.of(table, column, *key)])  # fmt: skip
                if not _played_on(today, days, table, key):
                    today.model.equal("to date", block_of(key[1:]), [today.of(table, columns[0], *key)],
                                      [before.of(table, columns[0], *key)])  # fmt: skip


def departures_to_date(today: Counts, before: Counts) -> None:
    """State that of the viewers of a show that ended more are seen again, if only late files of later days came.

    The hours up to the end are the same runs in both marts. That no play of later days was taken away, the attacker
    knows otherwise.
    """
    for key in today.rows[DEPARTURE].keys() & before.rows[DEPARTURE].keys():
        until = datetime.combine(today.rows[DEPARTURE][key]["ended"], datetime.min.time()) + timedelta(days=1)
        first = until - timedelta(days=DAYS_BEFORE)
        if hours_between(today.published, first, until) != hours_between(before.published, first, until):
            continue
        for column in ("viewers", "compared"):
            today.model.equal("to date", key[1], [today.of(DEPARTURE, column, *key)],
                              [before.of(DEPARTURE, column, *key)])  # fmt: skip
        for column in ("seen_again", "compared_seen"):
            today.model.state("to date", key[1], [today.of(DEPARTURE, column, *key)],
                              [before.of(DEPARTURE, column, *key)])  # fmt: skip


def same_run(today: Published, before: Published, period: str) -> bool:
    """Return whether the audience of a period is the same run in both marts."""
    now, then = (one.runs["audience_base", period] for one in (today, before))
    return bool(now["run_id"] == then["run_id"])


def hours_between(mart: Published, start: datetime, end: datetime) -> Mapping[str, str]:
    """Return the runs of the hours of a span."""
    return {
        hour: row["run_id"]
        for (dataset, hour), row in mart.runs.items()
        if dataset == "viewership" and start <= row["starts_at"] < end
    }


def only_grew(today: Published, before: Published, period: str) -> bool:
    """Return whether all hours of yesterday are there today, as they were."""
    now, then = (hours_between(one, *one.spans[period]) for one in (today, before))
    return bool(then) and then.items() <= now.items()


def days_since(today: Published, before: Published, period: str) -> set[str]:
    """Return the days of a period whose hours came since yesterday."""
    now, then = (hours_between(one, *one.spans[period]) for one in (today, before))
    return {hour[:10] for hour in now.keys() - then.keys()}


def _played_on(today: Counts, days: set[str], table: str, key: Key) -> bool:
    """Return whether some days have a row of a subject, or may have one."""
    known = all(("audience_base", one) in today.published.runs for one in days)
    return not known or any((one, *key[1:]) in today.rows[table] for one in days)

"""The attacker's rules on periods: what is in a day is in its week, and yesterday's quarter to date is in today's."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

from tests.attacker.counts import AUDIENCE, BASE, GENRE, TABLES, Counts
from tests.attacker.published import Key, grouped

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
        same = _same_run(today, before, period)
        if not same and not _only_grew(today, before, period):
            continue
        days = _days_since(today, before, period)
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


def _same_run(today: Counts, before: Counts, period: str) -> bool:
    now, then = (one.published.runs["audience_base", period] for one in (today, before))
    return bool(now["run_id"] == then["run_id"])


def _hours_of(counts: Counts, period: str) -> Mapping[str, str]:
    start, end = counts.published.spans[period]
    return {
        hour: row["run_id"]
        for (dataset, hour), row in counts.published.runs.items()
        if dataset == "viewership" and start <= row["starts_at"] < end
    }


def _only_grew(today: Counts, before: Counts, period: str) -> bool:
    """Return whether all hours of yesterday are there today, as they were."""
    now, then = _hours_of(today, period), _hours_of(before, period)
    return bool(then) and then.items() <= now.items()


def _days_since(today: Counts, before: Counts, period: str) -> set[str]:
    """Return the days of a period whose hours came since yesterday."""
    new_hours = _hours_of(today, period).keys() - _hours_of(before, period).keys()
    return {hour[:10] for hour in new_hours}


def _played_on(today: Counts, days: set[str], table: str, key: Key) -> bool:
    """Return whether some days have a row of a subject, or may have one."""
    known = all(("audience_base", one) in today.published.runs for one in days)
    return not known or any((one, *key[1:]) in today.rows[table] for one in days)

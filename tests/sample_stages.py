"""Two small stages over real markers: ``words`` counts the words of an hour, ``totals`` sums the hours of a day.

A file is words between spaces. ``bad!`` is bad input, ``later!`` is an error to try again, and ``boom!`` is an unknown
error whose text holds a secret.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from marquee.calendar import Grain, Period, Span
from marquee.errors import BadInputError, TryAgainError
from marquee.lake.datasets import TEXT, WHOLE, Column, Dataset
from marquee.lake.files import read_output, write_output
from marquee.lake.manifest import Input, Marker, Result
from marquee.lake.markers import Markers
from marquee.runs.stage import RunContext, Stage, Target
from marquee.storage.base import Store

SECRET = "canary-5f2d"
START = datetime(2026, 1, 7, 12, tzinfo=UTC)

COUNTED = (Column("word", TEXT, "a word"), Column("times", WHOLE, "how often it came"))
WORDS = Dataset("words", "words", "hour × word", 1, COUNTED)
INITIALS = Dataset("initials", "words", "hour × initial", 1, COUNTED)
TOTALS = Dataset("totals", "totals", "day × word", 1, COUNTED)


class Ticking:
    """A clock that advances by a second each time it is read."""

    def __init__(self, start: datetime = START) -> None:
        self.now = start

    def __call__(self) -> datetime:
        """Return the time."""
        self.now += timedelta(seconds=1)
        return self.now


class WordsStage(Stage):
    """A stage that counts each word and each initial of an hour."""

    name = "words"
    definition_version = "1"
    parameters: dict[str, object] = {}  # noqa: RUF012 - each has its own

    def __init__(self, lake: Store, raw: Store, *, lower: bool = False) -> None:
        self.lake, self.raw = lake, raw
        self.parameters = {"lower": lower}

    def periods(self, span: Span) -> Sequence[Period]:
        """Return the hours that have files."""
        hours = {Period.parse(info.key.split("/")[0]) for info in self.raw.list()}
        return sorted(hour for hour in hours if span.touches(hour))

    def target(self, period: Period) -> Target:
        """Return the files of the hour."""
        files = self.raw.list(f"{period}/")
        return Target(period, tuple(Input(info.key, info.etag, info.size) for info in files))

    def waits_for(self, period: Period) -> str:  # noqa: ARG002
        """Return an empty text, because no period waits."""
        return ""

    def make(self, target: Target, run: RunContext) -> Result:
        """Count the words; raise BadInputError or TryAgainError for a word that demands it."""
        words = [word for one in target.inputs for word in self.raw.get(one.name).decode().split()]
        if "later!" in words:
            message = f"{target.period} cannot be counted now"
            raise TryAgainError(message)
        if "bad!" in words:
            message = f"{target.period} has the word 'bad!': expected good ones"
            raise BadInputError(message)
        initials = write_output(self.lake, run.prefix, INITIALS, counted(Counter(word[0] for word in words)))
        if "boom!" in words:
            message = f"out of order: {SECRET}"
            raise RuntimeError(message)
        shaped = [word.lower() for word in words] if self.parameters["lower"] else words
        return Result(
            (initials, write_output(self.lake, run.prefix, WORDS, counted(Counter(shaped)))), {"words_in": len(words)}
        )


class TotalsStage(Stage):
    """A stage that counts each word of a day in the hours that are done."""

    name = "totals"
    definition_version = "1"
    parameters: dict[str, object] = {}  # noqa: RUF012 - never written to

    def __init__(self, markers: Markers) -> None:
        self.markers = markers

    def periods(self, span: Span) -> Sequence[Period]:
        """Return the days of the hours that are done."""
        days = {Period.containing(hour.start, Grain.DAY) for hour in self.markers.of("words")}
        return sorted(day for day in days if span.touches(day))

    def target(self, period: Period) -> Target:
        """Return the counted words of the day by hour."""
        return Target(period, tuple(marker.as_input(WORDS) for marker in self._hours(period)))

    def waits_for(self, period: Period) -> str:  # noqa: ARG002
        """Return an empty text, because no period waits."""
        return ""

    def make(self, target: Target, run: RunContext) -> Result:
        """Sum the words of the hours."""
        total: Counter[str] = Counter()
        for marker in self._hours(target.period):
            for output in marker.of(WORDS):
                for row in read_output(self.markers.store, output).to_pylist():
                    total[row["word"]] += row["times"]
        return Result((write_output(self.markers.store, run.prefix, TOTALS, counted(total)),), {})

    def _hours(self, day: Period) -> Iterator[Marker]:
        return (marker for hour, marker in sorted(self.markers.of("words").items()) if hour in day)


def counted(counter: Counter[str]) -> pa.Table:
    """Return counts as rows of (word, times), in the order of words."""
    rows = sorted(counter.items())
    return pa.table({"word": [word for word, _ in rows], "times": [times for _, times in rows]}, schema=WORDS.schema)

"""Hours, days and periods as values, always in UTC.

A ``Period`` is an hour, a day, an ISO week (Monday to Sunday), a month or a quarter. Its text form is its name
everywhere: in keys, in settings, on the command line and in the mart: ``2026-01-05T13``, ``2026-01-05``, ``2026-W02``,
``2026-01``, ``2026-Q1``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Grain(StrEnum):
    """The length of a period."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"


# ASCII digits only, and no year before 1000: a period has one name.
YEAR = r"(?!9999)[1-9]\d{3}"
"""Pattern of a year. 9999, a common stand-in for "never", has no end that Python knows."""

_FORMS = {
    Grain.HOUR: re.compile(rf"({YEAR})-(\d\d)-(\d\d)T(\d\d)", re.ASCII),
    Grain.DAY: re.compile(rf"({YEAR})-(\d\d)-(\d\d)", re.ASCII),
    Grain.WEEK: re.compile(rf"({YEAR})-W(\d\d)", re.ASCII),
    Grain.MONTH: re.compile(rf"({YEAR})-(\d\d)", re.ASCII),
    Grain.QUARTER: re.compile(rf"({YEAR})-Q([1-4])", re.ASCII),
}
_HOUR = _FORMS[Grain.HOUR]
FORMS_HINT = "2026-01-05T13 (hour), 2026-01-05 (day), 2026-W02 (week), 2026-01 (month) or 2026-Q1 (quarter)"
MONTHS_A_QUARTER = 3
_LENGTHS = {Grain.HOUR: HOUR, Grain.DAY: DAY}


@dataclass(frozen=True, order=True)
class Period:
    """A UTC time interval from ``start`` up to, but not including, ``end``."""

    start: datetime
    grain: Grain

    @classmethod
    def parse(cls, text: str) -> "Period":
        """Parse a period's name; ValueError lists the accepted forms."""
        if _HOUR.fullmatch(text):  # most periods of a lake are hours
            try:
                return cls(datetime.fromisoformat(f"{text}Z"), Grain.HOUR)
            except ValueError:  # said below in Marquee's words
                pass
        for grain, form in _FORMS.items():
            if match := form.fullmatch(text):
                try:
                    return cls(_start(grain, *(int(part) for part in match.groups())), grain)
                except ValueError as error:
                    message = f"Invalid {grain} {text!r}: {error}"
                    raise ValueError(message) from error
        message = f"Invalid period {text!r}. Use {FORMS_HINT}"
        raise ValueError(message)

    @classmethod
    def containing(cls, instant: datetime, grain: Grain) -> "Period":
        """Return the period of this grain in which the instant lies."""
        utc = instant.astimezone(UTC)
        if grain is Grain.HOUR:
            return cls(utc.replace(minute=0, second=0, microsecond=0), grain)
        day = utc.replace(hour=0, minute=0, second=0, microsecond=0)
        if grain is Grain.DAY:
            return cls(day, grain)
        if grain is Grain.WEEK:
            return cls(day - day.weekday() * DAY, grain)
        months = 1 if grain is Grain.MONTH else MONTHS_A_QUARTER
        return cls(day.replace(day=1, month=(day.month - 1) // months * months + 1), grain)

    @property
    def end(self) -> datetime:
        """The first instant after the period."""
        if self.grain is Grain.HOUR:
            return self.start + HOUR
        if self.grain is Grain.DAY:
            return self.start + DAY
        if self.grain is Grain.WEEK:
            return self.start + 7 * DAY
        months = 1 if self.grain is Grain.MONTH else MONTHS_A_QUARTER
        month = self.start.month - 1 + months
        return self.start.replace(year=self.start.year + month // 12, month=month % 12 + 1)

    @property
    def hours(self) -> int:
        """The number of hours of the period."""
        return (self.end - self.start) // HOUR

    @property
    def date(self) -> date:
        """The UTC date on which the period starts."""
        return self.start.date()

    def __hash__(self) -> int:
        # Periods are keys of large mappings. An instant keeps its hash, and few periods of them begin at the same one.
        return hash(self.start)

    def __str__(self) -> str:
        if self.grain is Grain.HOUR:
            return self.start.isoformat()[:13]
        if self.grain is Grain.DAY:
            return f"{self.start:%Y-%m-%d}"
        if self.grain is Grain.WEEK:
            year, week, _ = self.start.isocalendar()
            return f"{year:04}-W{week:02}"
        if self.grain is Grain.MONTH:
            return f"{self.start:%Y-%m}"
        return f"{self.start:%Y}-Q{(self.start.month - 1) // MONTHS_A_QUARTER + 1}"

    def __contains__(self, other: "Period | datetime") -> bool:
        if isinstance(other, Period):
            return self.start <= other.start and other.end <= self.end
        return self.start <= other < self.end

    def parts(self, grain: Grain) -> Iterator["Period"]:
        """Yield, in order, the periods of a grain that start in this one (the hours of a day, the days of a month)."""
        first = Period.containing(self.start, grain)
        yield from (first if first.start >= self.start else first.next()).until(self.end)

    def until(self, end: datetime) -> Iterator["Period"]:
        """Yield this period and the following ones that start before an instant."""
        start, grain = self.start, self.grain
        if (length := _LENGTHS.get(grain)) is not None:  # without the end of each, because a lake has many hours
            while start < end:
                yield Period(start, grain)
                start += length
            return
        period = self
        while period.start < end:
            yield period
            period = period.next()

    def next(self) -> "Period":
        """Return the next period of this grain."""
        return Period(self.end, self.grain)

    def previous(self) -> "Period":
        """Return the previous period of this grain."""
        return Period.containing(self.start - HOUR, self.grain)


def hour(text: str) -> Period:
    """Parse an hour such as ``2026-01-05T13``."""
    return _of_grain(text, Grain.HOUR)


def day(text: str) -> Period:
    """Parse a day such as ``2026-01-05``."""
    return _of_grain(text, Grain.DAY)


@dataclass(frozen=True)
class Span:
    """Any UTC time interval from ``start`` up to, but not including, ``end``; None means unbounded."""

    start: datetime | None = None
    end: datetime | None = None

    @classmethod
    def of(cls, first: Period | None = None, last: Period | None = None) -> "Span":
        """Return the span from the start of one period to the end of another, both included."""
        if first and last and last.end <= first.start:
            message = f"--from {first} is after --to {last}. The first period must not be later than the last"
            raise ValueError(message)
        return cls(first.start if first else None, last.end if last else None)

    @classmethod
    def parse(cls, text: str) -> "Span":
        """Parse a period's name, or two as ``first/last``, both included; ValueError says what is wrong."""
        first, slash, last = text.partition("/")
        return cls.of(Period.parse(first), Period.parse(last if slash else first))

    def touches(self, period: Period) -> bool:
        """Return whether the period and the span overlap."""
        return (self.start is None or period.end > self.start) and (self.end is None or period.start < self.end)


EVER = Span()


def _of_grain(text: str, grain: Grain) -> Period:
    period = Period.parse(text)
    if period.grain is not grain:
        message = f"Invalid {grain} {text!r}: it is a {period.grain}"
        raise ValueError(message)
    return period


def _start(grain: Grain, year: int, part: int = 1, day_of_month: int = 1, hour_of_day: int = 0) -> datetime:
    if grain is Grain.WEEK:
        return datetime.combine(date.fromisocalendar(year, part, 1), datetime.min.time(), UTC)
    month = (part - 1) * MONTHS_A_QUARTER + 1 if grain is Grain.QUARTER else part
    return datetime(year, month, day_of_month, hour_of_day, tzinfo=UTC)

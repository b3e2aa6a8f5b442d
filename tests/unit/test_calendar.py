"""Periods: their names, their edges, and the relations between them."""

import itertools
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marquee.calendar import EVER, Grain, Period, Span, day, hour

KST = timezone(timedelta(hours=9))

instants = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - UTC is laid on
grains = st.sampled_from(Grain)
periods = st.builds(Period.containing, instants, grains)


def at(text: str) -> datetime:
    """Read an instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        pytest.param("2026-01-05T13", "2026-01-05T13:00", "2026-01-05T14:00", id="hour"),
        pytest.param("2025-12-31T23", "2025-12-31T23:00", "2026-01-01T00:00", id="last hour of a year"),
        pytest.param("2026-01-05", "2026-01-05", "2026-01-06", id="day"),
        pytest.param("2024-02-29", "2024-02-29", "2024-03-01", id="leap day"),
        pytest.param("2026-W02", "2026-01-05", "2026-01-12", id="week"),
        pytest.param("2026-W01", "2025-12-29", "2026-01-05", id="week that starts in the year before"),
        pytest.param("2020-W53", "2020-12-28", "2021-01-04", id="week 53"),
        pytest.param("2026-01", "2026-01-01", "2026-02-01", id="month"),
        pytest.param("2024-02", "2024-02-01", "2024-03-01", id="february of a leap year"),
        pytest.param("2025-12", "2025-12-01", "2026-01-01", id="december"),
        pytest.param("2026-Q1", "2026-01-01", "2026-04-01", id="quarter"),
        pytest.param("2025-Q4", "2025-10-01", "2026-01-01", id="last quarter"),
    ],
)
def test_period_has_these_edges(name: str, start: str, end: str) -> None:
    """The name of a period means the time from its start to its end in UTC, without the end."""
    period = Period.parse(name)
    assert (period.start, period.end) == (at(start), at(end))
    assert period.date == at(start).date()
    assert str(period) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("2026-02-29", "Invalid day '2026-02-29': ", id="no leap year"),
        pytest.param("2026-13", "Invalid month '2026-13': ", id="month 13"),
        pytest.param("2025-W53", "Invalid week '2025-W53': ", id="no week 53"),
        pytest.param("2026-01-05T24", "Invalid hour '2026-01-05T24': ", id="hour 24"),
        pytest.param("2026-Q5", "Use 2026-01-05T13 (hour), 2026-01-05 (day)", id="quarter 5"),
        pytest.param("2026-1-5", "Invalid period '2026-1-5'. Use", id="no leading zeros"),
        pytest.param("2026-01-05 ", "Invalid period '2026-01-05 '. Use", id="a space"),
        pytest.param("0026-01-05", "Invalid period '0026-01-05'. Use", id="year of two digits"),
        pytest.param("2\u066026-01-05", "Invalid period", id="digits of another script"),
        pytest.param("9999-12-31T23", "Invalid period '9999-12-31T23'. Use", id="no hour after it"),
        pytest.param("", "Invalid period ''. Use", id="nothing"),
    ],
)
def test_wrong_name_is_refused(text: str, message: str) -> None:
    """The message names the wrong text, and says what is wrong with it or which forms are valid."""
    with pytest.raises(ValueError, match=re.escape(message)):
        Period.parse(text)


def test_grain_that_is_asked_for_is_checked() -> None:
    """A day where an hour is expected is refused."""
    assert hour("2026-01-05T13") == Period(at("2026-01-05T13:00"), Grain.HOUR)
    assert day("2026-01-05") == Period(at("2026-01-05"), Grain.DAY)
    with pytest.raises(ValueError, match="Invalid hour '2026-01-05': it is a day"):
        hour("2026-01-05")


def test_containing_reckons_in_utc() -> None:
    """The period of an instant is chosen in UTC: early on New Year's Day in Korea it is still the old year."""
    instant = datetime(2026, 1, 1, 8, 30, tzinfo=KST)
    names = [str(Period.containing(instant, grain)) for grain in Grain]
    assert names == ["2025-12-31T23", "2025-12-31", "2026-W01", "2025-12", "2025-Q4"]


@pytest.mark.parametrize(
    ("name", "grain", "count", "first", "last"),
    [
        pytest.param("2026-01-05", Grain.HOUR, 24, "2026-01-05T00", "2026-01-05T23", id="hours of a day"),
        pytest.param("2024-02", Grain.DAY, 29, "2024-02-01", "2024-02-29", id="days of a leap february"),
        pytest.param("2020-W53", Grain.DAY, 7, "2020-12-28", "2021-01-03", id="days of a week across years"),
        pytest.param("2026-Q1", Grain.MONTH, 3, "2026-01", "2026-03", id="months of a quarter"),
        # January 2026 begins on a Thursday: the first week that starts in it is that of the 5th, the last of the 26th.
        pytest.param("2026-01", Grain.WEEK, 4, "2026-W02", "2026-W05", id="weeks that start in a month"),
    ],
)
def test_parts_of_a_period(name: str, grain: Grain, count: int, first: str, last: str) -> None:
    """The parts of a period are those that start in it, in order."""
    parts = [str(part) for part in Period.parse(name).parts(grain)]
    assert (len(parts), parts[0], parts[-1]) == (count, first, last)


@given(periods)
def test_name_is_read_back(period: Period) -> None:
    """Parsing the name of a period gives the same period."""
    assert Period.parse(str(period)) == period


@given(instants, grains)
def test_every_instant_is_in_one_period(instant: datetime, grain: Grain) -> None:
    """The containing period holds the instant, and its neighbours do not."""
    period = Period.containing(instant, grain)
    assert instant in period
    assert instant not in period.next()
    assert instant not in period.previous()


@given(periods)
def test_neighbours_leave_no_gap(period: Period) -> None:
    """Next and previous periods undo each other and meet without a gap, and periods sort by time."""
    assert period.next().start == period.end
    assert period.next().previous() == period
    assert period.previous().next() == period
    assert period.previous() < period < period.next()


@given(periods, st.sampled_from([Grain.HOUR, Grain.DAY]))
def test_hours_and_days_tile_longer_periods(period: Period, grain: Grain) -> None:
    """The hours or days of a longer period fill it without gaps and overlaps."""
    if period.grain is Grain.HOUR:
        period = Period.containing(period.start, Grain.DAY)
    parts = list(period.parts(grain))
    assert parts[0].start == period.start
    assert parts[-1].end == period.end
    assert all(one.end == following.start for one, following in itertools.pairwise(parts))
    assert all(part in period for part in parts)


@given(periods)
def test_month_and_quarter_hold_their_days_and_no_more(period: Period) -> None:
    """A week, month or quarter holds exactly the days that start in it."""
    first = Period.containing(period.start, Grain.DAY)
    last = Period.containing(period.end - timedelta(hours=1), Grain.DAY)
    if period.grain in {Grain.WEEK, Grain.MONTH, Grain.QUARTER}:
        assert Period.containing(first.start, period.grain) == period
        assert Period.containing(last.start, period.grain) == period
        assert Period.containing(first.previous().start, period.grain) == period.previous()
        assert Period.containing(last.next().start, period.grain) == period.next()


def test_span_touches_what_overlaps_it() -> None:
    """A span of days touches the month around it, but not the day before or the day after."""
    span = Span.of(day("2026-01-05"), day("2026-01-06"))
    names = ("2026-01-04", "2026-01-05", "2026-01-06T23", "2026-01-07", "2026-01")
    touched = [name for name in names if span.touches(Period.parse(name))]
    assert touched == ["2026-01-05", "2026-01-06T23", "2026-01"]


@given(periods)
def test_open_span_touches_everything(period: Period) -> None:
    """A span without edges touches every period; a span with one edge touches those on its side."""
    assert EVER.touches(period)
    assert Span.of(first=period).touches(period)
    assert not Span.of(first=period).touches(period.previous())
    assert Span.of(last=period).touches(period)
    assert not Span.of(last=period).touches(period.next())


def test_span_backwards_is_refused() -> None:
    """A span whose first period comes after its last is refused."""
    with pytest.raises(ValueError, match="--from 2026-01-06 is after --to 2026-01-05"):
        Span.of(day("2026-01-06"), day("2026-01-05"))

"""Day bitmaps, and the spans of days that loyalty is measured by."""

import pytest

from jobs.profile.day_bitmap import day_number, find_recent, find_spans, knows_loyalty, split_bitmap
from marquee.calendar import Grain, Period, day


@pytest.mark.parametrize(
    ("days", "low", "high"),
    [
        pytest.param(1, 1, 0, id="the first day"),
        pytest.param(1 << 63, 1 << 63, 0, id="the last of the low word"),
        pytest.param(1 << 64, 0, 1, id="the first of the high word"),
        pytest.param(1 | 1 << 91, 1, 1 << 27, id="the first and the last of a long quarter"),
    ],
)
def test_days_are_split_into_two_words(days: int, low: int, high: int) -> None:
    """Days 0 to 63 are in the low word, and later days in the high word."""
    assert split_bitmap(days) == (low, high)


@pytest.mark.parametrize(
    ("period", "last", "number"),
    [
        pytest.param("2026-01-05", "2026-01-05", 0, id="day"),
        pytest.param("2026-W01", "2026-01-04", 6, id="week"),
        pytest.param("2024-02", "2024-02-29", 28, id="leap month"),
        pytest.param("2026-Q3", "2026-09-30", 91, id="longest quarter"),
    ],
)
def test_days_are_numbered_from_the_start(period: str, last: str, number: int) -> None:
    """The number of a day is the number of days in the period before it."""
    assert day_number(Period.parse(period), day(last)) == number


def spans(period: str, *days: str) -> list[dict[str, int]]:
    """Return the spans of a period with these profiled days."""
    return find_spans(Period.parse(period), [day(one) for one in days])


def test_spans_of_a_day_and_a_week_are_days() -> None:
    """The spans of a day or a week are its days so far."""
    assert spans("2026-01-05", "2026-01-05") == [{"low": 1, "high": 0}]
    assert spans("2026-W02", "2026-01-05", "2026-01-06") == [{"low": 1, "high": 0}, {"low": 2, "high": 0}]


def test_spans_of_a_month_are_weeks_that_it_touches() -> None:
    """The spans of a month are the weeks that it touches, without weeks that have no profiled day."""
    assert spans("2026-01", *(f"2026-01-{number:02}" for number in range(1, 7))) == [
        {"low": 0b1111, "high": 0},
        {"low": 0b110000, "high": 0},
    ]
    assert spans("2026-01", "2026-01-31") == [{"low": 1 << 30, "high": 0}]


def test_spans_of_a_quarter_cover_each_day_once() -> None:
    """The spans of a quarter hold each of its 92 days once, in 14 weeks, one of which is in both words."""
    quarter = Period.parse("2026-Q3")
    found = find_spans(quarter, list(quarter.parts(Grain.DAY)))
    days = [span["low"] | span["high"] << 64 for span in found]
    assert len(days) == 14
    assert sum(days) == (1 << 92) - 1
    assert [(span["low"] > 0, span["high"] > 0) for span in found].count((True, True)) == 1


def test_weeks_cut_at_the_edge_of_a_month_count_as_weeks() -> None:
    """February 2026 touches five weeks, of which the first has only Sunday the 1st and the last no Sunday."""
    february = Period.parse("2026-02")
    days = [span["low"].bit_count() for span in find_spans(february, list(february.parts(Grain.DAY)))]
    assert days == [1, 7, 7, 7, 6]


@pytest.mark.parametrize(
    ("period", "first", "days", "known"),
    [
        pytest.param("2026-01-05", "2026-01-05", 1, False, id="a day: everybody would be loyal"),
        pytest.param("2026-W02", "2026-01-05", 2, False, id="two days of a week"),
        pytest.param("2026-W02", "2026-01-05", 3, True, id="three days of a week"),
        pytest.param("2026-02", "2026-02-01", 9, False, id="nine days of a month, which touch three weeks"),
        pytest.param("2026-02", "2026-02-01", 20, False, id="a day less than three weeks of a month"),
        pytest.param("2026-02", "2026-02-01", 21, True, id="three weeks of a month"),
        pytest.param("2026-Q1", "2026-03-01", 20, False, id="a quarter whose lake begins late"),
        pytest.param("2026-Q1", "2026-03-01", 21, True, id="three weeks of it"),
    ],
)
def test_loyal_viewers_need_three_weeks(period: str, first: str, days: int, *, known: bool) -> None:
    """Loyal viewers are known from 21 profiled days of a month or quarter on, and from three days of a week on."""
    begin = day(first)
    profiled = [one for one in Period.parse("2026-Q1").parts(Grain.DAY) if one >= begin][:days]
    assert knows_loyalty(Period.parse(period), profiled) is known


@pytest.mark.parametrize(
    ("newest", "days", "low", "high"),
    [
        pytest.param("2026-01-01", 14, 1, 0, id="the first day, and none before it"),
        pytest.param("2026-01-06", 3, 0b111000, 0, id="the last three days"),
        pytest.param("2026-03-06", 2, 1 << 63, 1, id="a day in each word"),
    ],
)
def test_recent_days_end_with_the_newest(newest: str, days: int, low: int, high: int) -> None:
    """The recent days of a quarter to date are its last days, as far as it has begun."""
    assert find_recent(Period.parse("2026-Q1"), day(newest), days) == {"low": low, "high": high}

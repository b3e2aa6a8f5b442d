"""The hours of the raw store: folders as the sink names them, and which of their objects hold events."""

from datetime import UTC, datetime, timedelta

import pytest

from jobs.rollup.inventory import Layout, list_hours
from marquee.calendar import EVER, Span, hour
from marquee.storage.local import LocalStore

KAFKA_CONNECT = Layout("topics/plays/year={year}/month={month}/day={day}/hour={hour}/")
ONE, TWO = hour("2026-01-05T13"), hour("2026-01-06T00")
DAILY = "p/d={year}{month}{day}/h={hour}/"
FOLDER = "topics/plays/year=2026/month=01/day=05/hour=13/"


@pytest.mark.parametrize(
    ("template", "folder"),
    [
        pytest.param(KAFKA_CONNECT.template, FOLDER, id="Kafka Connect's HourlyPartitioner"),
        pytest.param("{year}-{month}-{day}/{hour}/", "2026-01-05/13/", id="dashes"),
        pytest.param("dt={year}{month}{day}/h={hour}/", "dt=20260105/h=13/", id="run together"),
        pytest.param("a.b+c/{hour}/{day}.{month}.{year}/", "a.b+c/13/05.01.2026/", id="backwards, with odd characters"),
    ],
)
def test_folder_of_an_hour_and_back(template: str, folder: str) -> None:
    """The folder of an hour has its parts with all digits, and a key in that folder belongs to the hour."""
    layout = Layout(template)
    assert layout.folder(ONE) == folder
    assert layout.hour_of(f"{folder}plays+0+0000000000.json") == ONE


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(FOLDER, id="the folder itself"),
        pytest.param(f"{FOLDER}more/plays.json", id="a folder in it"),
        pytest.param(f"raw/{FOLDER}plays.json", id="below another"),
        pytest.param(FOLDER.replace("plays", "pauses") + "plays.json", id="another topic"),
        pytest.param(FOLDER.replace("hour=13", "hour=24") + "plays.json", id="no hour"),
        pytest.param(FOLDER.replace("month=01", "month=13") + "plays.json", id="no month"),
        pytest.param(FOLDER.replace("day=05", "day=5") + "plays.json", id="too few digits"),
        pytest.param(FOLDER.replace("hour=13", "hour=013") + "plays.json", id="too many digits"),
        pytest.param(FOLDER.replace("hour=13", "hour=１３") + "plays.json", id="other digits"),  # noqa: RUF001
        pytest.param(FOLDER.replace("2026", "0000") + "plays.json", id="no year"),
    ],
)
def test_key_that_is_of_no_hour(key: str) -> None:
    """A key outside the folders of hours belongs to no hour."""
    assert KAFKA_CONNECT.hour_of(key) is None


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("topics/plays/dt={date}/hour={hour}/", id="a date in one"),
        pytest.param("topics/plays/dt=2026-01-05/", id="nothing to fill in"),
        pytest.param("topics/plays/year={year}/month={month}/day={day}/", id="no hour"),
        pytest.param("{year}/{month}/{day}/{day}/{hour}/", id="a day twice"),
        pytest.param("{year}/{month}/{day}/{hour}", id="no slash at the end"),
        pytest.param("{year}/{month}/{day}/{hour}/{minute}/", id="a minute"),
        pytest.param("", id="nothing"),
    ],
)
def test_template_that_is_no_layout(template: str) -> None:
    """An invalid layout is an error that shows it and what is expected."""
    with pytest.raises(ValueError, match=r"Invalid layout .+ Use \{year\}, \{month\}, \{day\} and") as error:
        Layout(template)
    assert str(error.value).startswith(f"Invalid layout {template!r}. ")


def span(start: str, end: str) -> Span:
    """Return the span between two instants."""
    return Span(*(datetime.fromisoformat(one).replace(tzinfo=UTC) for one in (start, end)))


def days(first: str, last: str) -> list[datetime]:
    """Return the days from the first to the last."""
    start, end = datetime.fromisoformat(first), datetime.fromisoformat(last)
    return [start + timedelta(days=number) for number in range((end - start).days + 1)]


@pytest.mark.parametrize(
    ("template", "stretch", "prefixes"),
    [
        pytest.param(DAILY, EVER, ["p/d="], id="ever"),
        pytest.param(DAILY, Span(None, ONE.start), ["p/d="], id="no beginning"),
        pytest.param(DAILY, Span(ONE.start, None), ["p/d="], id="no end"),
        pytest.param(
            DAILY,
            span("2026-01-05T13:00", "2026-01-05T14:00"),
            ["p/d=20260105/h="],
            id="an hour",
        ),
        pytest.param(
            DAILY,
            span("2026-01-31T23:00", "2026-02-01T01:00"),
            ["p/d=20260131/h=", "p/d=20260201/h="],
            id="over midnight",
        ),
        pytest.param(
            DAILY,
            span("2026-01-05T00:00", "2026-01-06T00:00"),
            ["p/d=20260105/h="],
            id="a day",
        ),
        pytest.param(
            DAILY,
            span("2026-01-31T23:00", "2026-04-04"),
            ["p/d=202601", "p/d=202602", "p/d=202603", "p/d=202604"],
            id="more than 62 days",
        ),
        pytest.param(
            "p/{day}/{month}/{year}/{hour}/",
            span("2025-11-30", "2026-02-01"),
            [f"p/{day:%d/%m/%Y}/" for day in days("2025-11-30", "2026-01-31")],
            id="more than 62 days, where the day comes before the month",
        ),
        pytest.param(
            "p/{hour}/{year}/{month}/{day}/", span("2026-01-05", "2026-01-06"), ["p/"], id="the hour comes first"
        ),
    ],
)
def test_prefixes_to_list(template: str, stretch: Span, prefixes: list[str]) -> None:
    """A short span is listed by days, and a long one by months, where the layout has days before hours.

    A run of one day lists one day, and ten years take 120 requests instead of 3,650.
    """
    assert list(Layout(template).prefixes(stretch)) == prefixes


def test_only_events_are_listed(lake: LocalStore) -> None:
    """Only files with events are listed, also empty ones, but no keys, headers, other formats and hidden files."""
    names = [
        "plays+0+0000000000.json",
        "plays+0+0000000100.json.gz",
        "plays+1+0000000000.avro",
        "plays+1+0000000100.snappy.parquet",
        "plays+2+0000000000.parquet",
    ]
    others = ["plays+0+0.keys.json", "plays+0+0.headers.avro", "plays+0+0.bin", "plays+0+0.json.tmp", "plays.csv"]
    for name in [*names, *others, ".plays.json", "_SUCCESS"]:
        lake.put(FOLDER + name, b"")
    lake.put("topics/plays/plays.json", b"")
    found = list_hours(lake, KAFKA_CONNECT, EVER)
    assert {str(one): [info.key for info in objects] for one, objects in found.items()} == {
        "2026-01-05T13": [FOLDER + name for name in names]
    }


def test_hours_come_in_order(lake: LocalStore) -> None:
    """The hours of the span come in order, each with its objects in the order of keys, with sizes and etags."""
    for one in (TWO, ONE, ONE.previous()):
        for name in ("b.json", "a.json"):
            lake.put(KAFKA_CONNECT.folder(one) + name, b"12345")
    assert list(list_hours(lake, KAFKA_CONNECT, EVER)) == [ONE.previous(), ONE, TWO]
    found = list_hours(lake, KAFKA_CONNECT, Span.of(ONE, ONE))
    assert {one: [(info.key, info.size) for info in objects] for one, objects in found.items()} == {
        ONE: [(f"{FOLDER}a.json", 5), (f"{FOLDER}b.json", 5)]
    }
    assert found[ONE][0] == lake.head(f"{FOLDER}a.json")


def test_empty_store_has_no_hours(lake: LocalStore) -> None:
    """An empty store has no hours."""
    assert list_hours(lake, KAFKA_CONNECT, EVER) == {}

"""The inventory of the raw store: layouts of folders, prefixes to list, and the class of each object."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from jobs.rollup.inventory import classify, take_inventory, walk_newest_first
from jobs.rollup.layout import Layout
from marquee.calendar import DAY, EVER, Grain, Period, Span, hour
from marquee.storage.base import ObjectInfo, Store
from marquee.storage.local import LocalStore

KAFKA_CONNECT = Layout("topics/plays/year={year}/month={month}/day={day}/hour={hour}/")
ONE, TWO = hour("2026-01-05T13"), hour("2026-01-06T00")
DAILY = "p/d={year}{month}{day}/h={hour}/"
FOLDER = "topics/plays/year=2026/month=01/day=05/hour=13/"
YEAR = "topics/plays/year=2026/"


def hour_of(layout: Layout, key: str) -> Period | None:
    """Return the hour of a key."""
    placed = layout.place(key)
    return placed[0] if placed else None


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
    assert layout.folders(ONE)[0] == folder
    assert hour_of(layout, f"{folder}plays+0+0000000000.json") == ONE


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(FOLDER, id="the folder itself"),
        pytest.param(f"raw/{FOLDER}plays.json", id="below another"),
        pytest.param(FOLDER.replace("plays", "pauses") + "plays.json", id="another topic"),
        pytest.param(FOLDER.replace("hour=13", "hour=24") + "plays.json", id="no hour"),
        pytest.param(FOLDER.replace("month=01", "month=13") + "plays.json", id="no month"),
        pytest.param(FOLDER.replace("day=05", "day=") + "plays.json", id="no digits"),
        pytest.param(FOLDER.replace("hour=13", "hour=013") + "plays.json", id="too many digits"),
        pytest.param(FOLDER.replace("hour=13", "hour=１３") + "plays.json", id="other digits"),  # noqa: RUF001
        pytest.param(FOLDER.replace("2026", "0000") + "plays.json", id="no year"),
        pytest.param(FOLDER.replace("2026", "9999") + "plays.json", id="no year after it"),
    ],
)
def test_key_that_is_of_no_hour(key: str) -> None:
    """A key outside the folders of hours belongs to no hour."""
    assert hour_of(KAFKA_CONNECT, key) is None


@pytest.mark.parametrize(
    ("template", "key"),
    [
        pytest.param(KAFKA_CONNECT.template, "topics/plays/year=2026/month=1/day=5/hour=8/a.json", id="all parts"),
        pytest.param(KAFKA_CONNECT.template, "topics/plays/year=2026/month=01/day=05/hour=8/a.json", id="the hour"),
        pytest.param(KAFKA_CONNECT.template, "topics/plays/year=2026/month=1/day=05/hour=08/a.json", id="the month"),
        pytest.param(KAFKA_CONNECT.template, f"{FOLDER.replace('13', '08')}minute=05/more/a.json", id="levels below"),
        pytest.param(KAFKA_CONNECT.template, f"{FOLDER.replace('13', '08')}line\n", id="a name with a line break"),
        pytest.param("{year}-{month}-{day}/{hour}/", "2026-1-5/8/a.json", id="dashes"),
        pytest.param(DAILY, "p/d=20260105/h=8/a.json", id="two digits where parts touch"),
    ],
)
def test_hour_of_whole_numbers(template: str, key: str) -> None:
    """Month, day and hour may lack a leading zero, and the hour's folder may have more levels."""
    assert hour_of(Layout(template), key) == hour("2026-01-05T08")


@pytest.mark.parametrize("key", ["p/d=202615/h=08/a.json", "p/d=2026115/h=08/a.json", "p/d=20261 5/h=08/a.json"])
def test_parts_that_touch_have_two_digits(key: str) -> None:
    """Where parts touch, one digit would be ambiguous: 2026115 may be 11 May or 1 November 5."""
    assert hour_of(Layout(DAILY), key) is None


@pytest.mark.parametrize(
    ("path", "own", "other"),
    [
        pytest.param(
            "topics/{topic}/{year}/{month}/{day}/{hour}/", "topics/plays/x", "topics/plays2/2026/1/5/8/x", id="folder"
        ),
        pytest.param("{topic}-{year}-{month}-{day}/{hour}/", "plays-x", "plays2-2026-01-05/08/x", id="part of a name"),
        pytest.param(
            "{year}/{month}/{day}/{topic}/{hour}/", "2026/01/05/plays/x", "2026/01/05/pauses/08/x", id="below the day"
        ),
        pytest.param("raw/{year}/{month}/{day}/{hour}/", "raw/x", "rawer/2026/01/05/08/x", id="no topic"),
    ],
)
def test_other_topics_are_not_counted(path: str, own: str, other: str) -> None:
    """Objects that are the topic's are told from those of other topics that share its folders."""
    layout = Layout.of(path, "plays")
    assert classify(ObjectInfo(own, 1, ""), layout) == ("no_hour", None)
    assert classify(ObjectInfo(other, 1, ""), layout) is None


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
        pytest.param(DAILY, EVER, ["p/"], id="ever"),
        pytest.param(DAILY, Span(None, ONE.start), ["p/"], id="no beginning"),
        pytest.param(DAILY, Span(ONE.start, None), ["p/"], id="no end"),
        pytest.param(
            DAILY,
            span("2026-01-05T13:00", "2026-01-05T14:00"),
            ["p/d=20260105/"],
            id="an hour",
        ),
        pytest.param(
            DAILY,
            span("2026-01-31T23:00", "2026-02-01T01:00"),
            ["p/d=20260131/", "p/d=20260201/"],
            id="over midnight",
        ),
        pytest.param(
            DAILY,
            span("2026-01-05T00:00", "2026-01-06T00:00"),
            ["p/d=20260105/"],
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
    padded = {f"p/{number:02}/" for number in range(1, 32)}

    def names(folder: str) -> Sequence[str]:
        return sorted(name.removeprefix("p/") for name in padded) if folder == "p/" else [f"{n:02}/" for n in range(13)]

    assert list(Layout(template).prefixes(stretch, names)) == prefixes


@pytest.mark.parametrize(
    ("first", "last", "prefixes", "asked"),
    [
        pytest.param("2026-11-15", "2026-11-16", ["month=11/day=15/", "month=11/day=16/"], [], id="one name each"),
        pytest.param(
            "2026-11-09", "2026-11-10", ["month=11/day=09/", "month=11/day=10/"], ["month=11/"], id="days with zeros"
        ),
        pytest.param(
            "2026-12-08",
            "2026-12-09",
            ["month=12/day=08/", "month=12/day=9/"],
            ["month=12/"],
            id="days with and without",
        ),
        pytest.param(
            "2026-01-08",
            "2026-01-10",
            ["month=01/day=08/", "month=1/day=8/", "month=01/day=09/", "month=01/day=10/", "month=1/day=10/"],
            ["", "month=01/", "month=1/"],
            id="months with and without",
        ),
        pytest.param("2026-03-01", "2026-03-02", [], [""], id="nothing there"),
        pytest.param(
            "2026-01-01", "2026-03-31", ["month=01/", "month=1/"], [""], id="three months are listed by month"
        ),
    ],
)
def test_folders_without_zeros_are_listed(first: str, last: str, prefixes: list[str], asked: list[str]) -> None:
    """Folders with and without leading zeros are listed. Names are asked for once for each year and month with both."""
    there = {
        "": ["month=01/", "month=1/", "month=11/", "month=12/"],
        "month=01/": ["day=08/", "day=09/", "day=8"],
        "month=1/": ["day=8/", "day=7/"],
        "month=11/": ["day=09/"],
        "month=12/": ["day=08/", "day=9/"],
    }
    calls = []

    def names(folder: str) -> Sequence[str]:
        calls.append(folder.removeprefix(YEAR))
        return there[folder.removeprefix(YEAR)]

    span = Span(Period.parse(first).start, Period.parse(last).end)
    assert [one.removeprefix(YEAR) for one in KAFKA_CONNECT.prefixes(span, names)] == prefixes
    assert calls == asked


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("plays+0+0000000000.json", "read"),
        ("plays+0+0000000000.json.gz", "read"),
        ("plays+0+0000000000.json.gzip", "read"),
        ("plays+0+0000000000.JSON", "read"),
        ("plays+0+0000000000.Json.ZST", "read"),
        ("a.jsonl", "read"),
        ("a.ndjson.bz2", "read"),
        ("a.jsonl.lz4", "read"),
        ("a.jsonl.snappy", "read"),
        ("a.avro", "read"),
        ("a.snappy.parquet", "read"),
        ("part-0.c000.gz.parquet", "read"),
        ("a.gz", "read"),
        ("a.zstd", "read"),
        ("plays-1-2026-01-05-04-00-00-uuid", "read"),
        ("minute=05/a.json", "read"),
        ("plays+0+0.keys.json", "sidecar"),
        ("plays+0+0.headers.avro", "sidecar"),
        ("_SUCCESS", "hidden"),
        (".a.json.crc", "hidden"),
        ("_temporary/0/a.json", "hidden"),
        (".staging/a.json", "hidden"),
        ("minute=05/_a.json", "hidden"),
        ("a.txt", "other_ending"),
        ("a.csv.gz", "other_ending"),
        ("a.json.tmp", "other_ending"),
        ("a.json.xz", "other_ending"),
        ("a.bin", "other_ending"),
        ("a.", "other_ending"),
        ("a.json.gz.gz", "other_ending"),
        ("minute=05/README.md", "other_ending"),
        ("minute=05_$folder$", "read"),
        ("minute=05_$empty$", "read"),
    ],
)
def test_class_of_an_object_in_an_hour(store: Store, name: str, kind: str) -> None:
    """The name decides whether an object of an hour is read, in any case of letters."""
    store.put(FOLDER + name, b"x")
    assert take_inventory(store, KAFKA_CONNECT, EVER).counts(ONE) == {kind: 1}


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("topics/plays/a.json", "no_hour"),
        ("topics/plays/archive/a.json", "no_hour"),
        ("topics/plays/a.keys.json", "no_hour"),
        ("topics/plays/_spark_metadata/0", "hidden"),
        ("topics/plays/year=2026/_SUCCESS", "hidden"),
        (f"{YEAR}month=01/day=05/a.json", "no_hour"),
        (f"{YEAR}month=01/day=05/hour=24/a.json", "no_hour"),
        (f"{YEAR}month=01/day=05/hour=008/a.json", "no_hour"),
        (f"{YEAR}month=01/day=05/Hour=08/a.json", "no_hour"),
        ("topics/pauses/a.json", None),
        ("_topics/plays/a.json", None),
    ],
)
def test_class_of_an_object_in_no_hour(store: Store, key: str, kind: str | None) -> None:
    """An object of the topic in no hour's folder is hidden or in no hour, whatever its ending."""
    store.put(key, b"x")
    found = take_inventory(store, KAFKA_CONNECT, EVER)
    assert found.counts(None) == ({kind: 1} if kind else {})
    assert found.known == set()


def test_marks_of_folders(store: Store) -> None:
    """An empty object that ends in Hadoop's mark is a folder marker, in an hour's folder or beside it."""
    for name in ("hour=13_$folder$", "hour=13/minute=05_$folder$"):
        store.put(f"{YEAR}month=01/day=05/{name}", b"")
    found = take_inventory(store, KAFKA_CONNECT, EVER)
    assert (found.counts(None), found.counts(ONE)) == ({"folder_marker": 1}, {"folder_marker": 1})
    assert (found.known, found.unexpected()) == (set(), "")


def test_keys_that_end_in_a_slash() -> None:
    """On S3, an empty object that ends in a slash is a folder marker; with content, it is an unexpected object."""
    empty, full = ObjectInfo(FOLDER, 0, "e"), ObjectInfo(f"{FOLDER}minute=05/", 9, "e")
    assert classify(empty, KAFKA_CONNECT) == ("folder_marker", None)
    assert classify(full, KAFKA_CONNECT) == ("other_ending", ONE)


def test_links_are_counted_and_not_followed(lake: LocalStore) -> None:
    """Links to files and folders, pipes included, are counted once each, and nothing behind them is read."""
    outside = LocalStore(lake.root.parent / "outside")
    for name in ("a.json", "hour=15/a.json", "day=07/hour=00/a.json"):
        outside.put(name, b"x")
    lake.put(f"{FOLDER}a.json", b"x")
    day = lake.root / YEAR / "month=01/day=05"
    (day / "hour=13/file.json").symlink_to(outside.root / "a.json")
    (day / "hour=13/broken.json").symlink_to(outside.root / "gone")
    (day / "hour=13/_quiet").symlink_to(outside.root / "a.json")
    os.mkfifo(day / "hour=13/pipe.json")
    (day / "hour=15").symlink_to(outside.root / "hour=15")
    (day.parent / "day=07").symlink_to(outside.root / "day=07")
    for span in (EVER, Span.of(hour("2026-01-05T00"), hour("2026-01-07T23"))):
        found = take_inventory(lake, KAFKA_CONNECT, span)
        assert found.counts(ONE) == {"hidden": 1, "read": 1, "symlink": 3}
        assert found.counts(hour("2026-01-05T15")) == {"symlink": 1}
        assert found.counts(None) == {"symlink": 1}
        assert list(found.hours) == [ONE]
        assert sorted(found.unread) == [ONE, hour("2026-01-05T15")]
        hours = {
            one: len(found.unread_of(one, KAFKA_CONNECT)) for one in hour("2026-01-06T23").until(TWO.end + 3 * DAY)
        }
        assert {one for one, number in hours.items() if number} == {*Period.parse("2026-01-07").parts(Grain.HOUR)}


def test_topic_that_is_a_link_is_counted_once(lake: LocalStore) -> None:
    """If the topic's own folder is a link, nothing in it is read, and the link is counted once for all days."""
    LocalStore(lake.root.parent / "outside").put("plays/year=2026/month=11/day=15/hour=00/a.json", b"x")
    lake.root.mkdir()
    (lake.root / "topics").symlink_to(lake.root.parent / "outside")
    for span in (EVER, Span.of(hour("2026-11-15T00"), hour("2026-11-17T00"))):
        found = take_inventory(lake, KAFKA_CONNECT, span)
        assert (found.counts(None), found.hours) == ({"symlink": 1}, {})
        assert found.unexpected() == "1 that are symbolic links, such as 'topics'"


def test_name_that_is_no_text(lake: LocalStore) -> None:
    """A local name that is not UTF-8 is counted, because a marker cannot hold it."""
    lake.put(f"{FOLDER}a.json", b"x")
    (lake.root / FOLDER / os.fsdecode(b"\xff.json")).write_bytes(b"x")
    found = take_inventory(lake, KAFKA_CONNECT, EVER)
    assert found.counts(ONE) == {"other_ending": 1, "read": 1}
    assert found.unexpected() == f"1 with another ending, such as '{FOLDER}\\udcff.json'"


def test_patterns_name_what_is_expected(store: Store) -> None:
    """A pattern of keys makes any object an ignored one; a star also matches slashes, and letters match by case."""
    names = ["a.json", "README", "b.txt", "c.TXT", "minute=05/README", "readme"]
    for key in (*(FOLDER + name for name in names), "topics/plays/b.txt"):
        store.put(key, b"x")
    found = take_inventory(store, KAFKA_CONNECT, EVER, ["*/README", "topics/*.txt"])
    assert found.counts(ONE) == {"ignored": 3, "other_ending": 1, "read": 2}
    assert found.counts(None) == {"ignored": 1}
    assert found.ignored == {f"{FOLDER}{name}" for name in ("README", "b.txt", "minute=05/README")} | {
        "topics/plays/b.txt"
    }


def test_what_is_unexpected_is_told_with_examples(lake: LocalStore) -> None:
    """The unexpected classes are told with their numbers and their first keys; the others are expected."""
    for key in (f"{FOLDER}b.txt", f"{FOLDER}a.txt", f"{FOLDER}_SUCCESS", f"{FOLDER}a.keys.json", "topics/plays/a.json"):
        lake.put(key, b"x")
    assert take_inventory(lake, KAFKA_CONNECT, EVER).unexpected() == (
        f"2 with another ending, such as '{FOLDER}a.txt'; "
        "1 in no hour's folder, or in that of an implausible hour, such as 'topics/plays/a.json'"
    )


def test_both_names_of_an_hour_are_one(store: Store) -> None:
    """Objects of hour=8 and hour=08 are of one hour, also in a span."""
    for name in ("hour=8/b.json", "hour=08/a.json", "hour=11/a.json", "hour=9/a.json"):
        store.put(f"{YEAR}month=11/day=15/{name}", b"x")
    eight = hour("2026-11-15T08")
    found = take_inventory(store, KAFKA_CONNECT, Span.of(eight, eight))
    assert {
        str(one): [info.key.rpartition("day=15/")[2] for info in objects] for one, objects in found.hours.items()
    } == {"2026-11-15T08": ["hour=08/a.json", "hour=8/b.json"]}
    assert list(take_inventory(store, KAFKA_CONNECT, EVER).hours) == [eight, eight.next(), hour("2026-11-15T11")]


def test_objects_of_implausible_hours_are_of_none(lake: LocalStore) -> None:
    """Objects of an hour outside the plausible ones count as objects in no hour's folder."""
    for name in ("hour=12/a.txt", "hour=13/a.json", "hour=14/a.json", "hour=14/_SUCCESS"):
        lake.put(f"{YEAR}month=01/day=05/{name}", b"x")
    found = take_inventory(lake, KAFKA_CONNECT, EVER, plausible=Span.of(ONE, ONE))
    assert (list(found.hours), found.known, found.counts(None)) == ([ONE], {ONE}, {"hidden": 1, "no_hour": 2})


@pytest.mark.parametrize(("data", "known"), [(b"x", {ONE}), (b"", set())])
def test_sidecar_stands_for_events(lake: LocalStore, data: bytes, known: set[Period]) -> None:
    """A sidecar shows that its hour has events, also outside the span, unless it is empty."""
    lake.put(f"{FOLDER}a.keys.json", data)
    assert take_inventory(lake, KAFKA_CONNECT, EVER).known == known
    assert take_inventory(lake, KAFKA_CONNECT, Span.of(ONE.next(), ONE.next())).beside == known


def test_newest_hours_come_first(store: Store) -> None:
    """The walk goes by numbers, not by names, and other names come first."""
    for name in ("day=9/hour=10", "day=9/hour=9", "day=10/hour=0", "day=10/hour=00", "day=x"):
        store.put(f"{YEAR}month=1/{name}/a.json", b"x")
    walked = [
        (name.removeprefix(f"{YEAR}month=1/"), one and str(one))
        for name, one in walk_newest_first(store, KAFKA_CONNECT)
    ]
    assert walked == [
        ("day=x/", None),
        ("day=10/hour=00/", "2026-01-10T00"),
        ("day=10/hour=0/", "2026-01-10T00"),
        ("day=9/hour=10/", "2026-01-09T10"),
        ("day=9/hour=9/", "2026-01-09T09"),
    ]


def test_hours_come_in_order(lake: LocalStore) -> None:
    """The hours of the span come in order, each with its objects in the order of keys, with sizes and etags."""
    for one in (TWO, ONE, ONE.previous()):
        for name in ("b.json", "a.json"):
            lake.put(KAFKA_CONNECT.folders(one)[0] + name, b"12345")
    assert list(take_inventory(lake, KAFKA_CONNECT, EVER).hours) == [ONE.previous(), ONE, TWO]
    found = take_inventory(lake, KAFKA_CONNECT, Span.of(ONE, ONE)).hours
    assert {one: [(info.key, info.size) for info in objects] for one, objects in found.items()} == {
        ONE: [(f"{FOLDER}a.json", 5), (f"{FOLDER}b.json", 5)]
    }
    assert found[ONE][0] == lake.head(f"{FOLDER}a.json")


def test_empty_store_has_no_hours(lake: LocalStore) -> None:
    """An empty store has no hours."""
    assert take_inventory(lake, KAFKA_CONNECT, EVER).hours == {}

"""The kernels of rollup: they agree with the reference parser and the oracle, in whatever order lines arrive."""

import json
import pickle
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from jobs.rollup import kernel, lines, stage
from jobs.rollup.contract import Event, Fields, Window, validate
from jobs.rollup.kernel import parse_query, split_lines
from marquee.engine.duckdb import open_database
from marquee.engine.local import LocalEngine
from tests.helpers_rollup import GOOD, SECRET, World, line, lines_of, many, new_world, play, spoilt, to_line
from tests.oracle.rollup import viewer_number

WINDOW = Window(datetime(2026, 1, 5, 12, 45), datetime(2026, 1, 5, 14, 15))  # noqa: DTZ001 - UTC without a zone
BOM = b"\xef\xbb\xbf"
KEPT = 64 << 10
Row = dict[str, Any]
Split = tuple[list[Row], list[tuple[int, str, bytes]]]
U1, U2 = (viewer_number(b"a key that only tests have", user) for user in ("u1", "u2"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty world in which any share of lines may be rejected."""
    return new_world(tmp_path, reject_share=1)


def viewer_hours(world: World) -> list[tuple[Any, ...]]:
    """Return the viewer hours of all buckets, in order."""
    return sorted(row for rows in world.rolled().viewer_hour.values() for row in rows)


def split(folder: Path, *raws: bytes, window: Window = WINDOW) -> Split:
    """Split lines; return the events without their event ids, and the rejects, both in order."""
    path = folder / "lines.json"
    path.write_bytes(lines_of(*raws))
    with open_database() as db:
        batch = [("lines.json", block) for block in lines.read_blocks(path, "lines.json")]
        events, rejects = split_lines(db, batch, parse_query(Fields()), Fields(), window)
    bare = [{name: _bare(value) for name, value in row.items() if name != "event_key"} for row in events.to_pylist()]
    return _in_order(bare), sorted((row["line"], row["reason"], row["raw"]) for row in rejects.to_pylist())


def validated(*raws: bytes) -> Split:
    """Return the events and rejects of the reference parser for the same lines."""
    events, rejects = [], []
    for number, raw in enumerate(raws, start=1):
        found = validate(raw, Fields(), WINDOW)
        if isinstance(found, Event):
            events.append({name: value for name, value in vars(found).items() if name != "event_id"})
        else:
            rejects.append((number, str(found), raw[:KEPT]))
    return _in_order(events), rejects


def _bare(value: object) -> object:
    """Remove the quotes that texts have until the end of the query."""
    return value[1:-1] if isinstance(value, str) else value


def _in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: [str(row[name]) for name in sorted(row)])


NOT_QUITE: dict[str, bytes] = {
    "a comma too many": GOOD[:-1] + b",}",
    "a comma too many, inside": spoilt(b"60}", b"60 , }"),
    "a comma too many, in a further list": spoilt(b"540", b'540,"x":[1,]'),
    "NaN in a further field": spoilt(b"540", b'540,"x":NaN'),
    "nan in a further field": spoilt(b"540", b'540,"x": nan'),
    "infinity in a further field": spoilt(b"540", b'540,"x":-Infinity'),
    "inf in a further list": spoilt(b"540", b'540,"x":[1,INF]'),
    "NaN as a value": spoilt(b":60", b":NaN"),
    "a comment": GOOD[:-1] + b"/* play */}",
    "two objects": GOOD + GOOD,
    "a nest of 100,000 lists": spoilt(b"540", b'540,"x":' + b"[" * 100_000 + b"]" * 100_000),
    "a nest of 2,000 objects": spoilt(b"540", b'540,"x":' + b'{"a":' * 2000 + b"1" + b"}" * 2000),
    "5,000 digits in a further field": spoilt(b"540", b'540,"x":' + b"9" * 5000),
    "5,000 digits as a value": spoilt(b":60", b":" + b"6" * 5000),
    "1e999 in a further field": spoilt(b"540", b'540,"x":1e999'),
    "half a character in a further field": spoilt(b"540", b'540,"x":"\\ud83d"'),
    "half a character in the user": spoilt(b"u1", rb"\ud83d"),
    "half a character in the id": spoilt(b"e1", rb"e\udc00"),
    "a whole one in the user": spoilt(b"u1", rb"\ud83d\ude00"),
    "escapes in the user": spoilt(b"u1", rb"\"\\\/\u0075"),
    "a zero in the user": spoilt(b"u1", rb"u\u0000"),
    "an escape in the country": spoilt(b"KR", rb"\u004bR"),
    "an escape in the time": spoilt(b"T13", rb"\u005413"),
    "a tab in the time": spoilt(b"T13", rb"T\t3"),
    "a space in the time": spoilt(b"T13", b"T 3"),
    "a space in the fraction": spoilt(b".123", b".12 "),
    "a tab in the fraction": spoilt(b".123", rb".12\t"),
    "a tab at the fraction's start": spoilt(b".123", rb".\u000b12"),
    "a space before the fraction's end": spoilt(b".123", b".1 3"),
    "24:00": spoilt(b"05T13:02:11.123", b"04T24:00:00.000"),
    "second 60": spoilt(b"13:02:11.123", b"13:02:60.000"),
    "small t": spoilt(b"T13", b"t13"),
    "small z": spoilt(b"123Z", b"123z"),
    "other digits": spoilt(b"T13:02", "T13:0\u0662".encode()),
    "microseconds": spoilt(b".123", b".123456"),
    "an offset": spoilt(b"13:02:11.123Z", b"22:02:11.123+09:00"),
    "text for a number": spoilt(b":60", b':"60"'),
    "60.0": spoilt(b":60", b":60.0"),
    "6e1": spoilt(b":60", b":6e1"),
    "-0": spoilt(b"540", b"-0"),
    "true": spoilt(b":60", b":true"),
    "a list for a text": spoilt(b'"u1"', b'["u1"]'),
    "an object for a text": spoilt(b'"KR"', b'{"KR":1}'),
    "combining characters around the user": spoilt(b"u1", "\u0301u1\u0301".encode()),
    "a zero-width joiner in the user": spoilt(b"u1", "\u200du1\u200d".encode()),
    "a name again": spoilt(b'"e1"', b'"e1","event_id":null'),
    "the wrong name first": spoilt(b'"event_id"', b'"event_id":null,"event_id"'),
    "the event again": GOOD[:-1] + b',"event":{}}',
    "capitals in a name": spoilt(b"user_id", b"User_id"),
    "a Kelvin sign in the country": spoilt(b"KR", "\u212aR".encode()),
    "a newline in the device": spoilt(b'"tv"', rb'"tv\n"'),
}


@pytest.mark.parametrize("raw", [pytest.param(raw, id=name) for name, raw in NOT_QUITE.items()])
def test_query_and_reference_parser_agree(tmp_path: Path, raw: bytes) -> None:
    """The query and the reference parser give the same values and the same rejects."""
    assert split(tmp_path, raw) == validated(raw)


EDGES: dict[str, tuple[list[Any], list[Any]]] = {
    "event_id": (["e", "é" * 64], ["", "é" * 65]),
    "received_at": (
        ["2026-01-05T12:45:00.000Z", "2026-01-05T14:14:59.999Z"],
        ["2026-01-05T12:44:59.999Z", "2026-01-05T14:15:00.000Z"],
    ),
    "user_id": (["u", "é" * 128], ["", "é" * 129]),
    "episode_id": ([1, 2**53], [-1, 0, 2**53 + 1, 2**63, 2**64]),
    "country": (["AA", "ZZ"], ["A", "AAA"]),
    "utc_offset_minutes": ([-720, 840], [-721, 841, 2**15, 2**16 + 60]),
    "language": (["aa", "aaa-12345678"], ["a", "aaaa", "aa-123456789"]),
    "device": (["a", "a" * 32], ["", "a" * 33]),
    "watched_seconds": ([0, 3600], [-1, 3601, 2**15, 2**16 + 60]),
}
"""The smallest and the largest valid values of each field, and the values just beyond."""


@pytest.mark.parametrize("name", EDGES)
def test_edges_of_the_contract(tmp_path: Path, name: str) -> None:
    """The query accepts values at the edges without the reference parser, which rejects those beyond."""
    inside, outside = ([line(**{name: value}) for value in values] for values in EDGES[name])
    events, rejects = split(tmp_path, *inside, *outside)
    assert (events, rejects) == validated(*inside, *outside)
    assert (len(events), len(rejects)) == (len(inside), len(outside))
    with mock.patch.object(kernel, "validate", side_effect=AssertionError("the reference parser was asked")):
        assert len(split(tmp_path, *inside)[0]) == len(inside)


@pytest.mark.parametrize("blank", [b" ", rb"\t", rb"\n", rb"\u000b", rb"\u00a0", b"+", b"-"])
def test_one_digit_is_no_hour(tmp_path: Path, blank: bytes) -> None:
    """A white space or a sign instead of a digit of the hour is rejected."""
    night = Window(datetime(2026, 1, 5, 2, 45), datetime(2026, 1, 5, 4, 15))  # noqa: DTZ001 - UTC without a zone
    raw = spoilt(b"T13", b"T" + blank + b"3")
    assert split(tmp_path, raw, window=night) == ([], [(1, "received_at", raw)])


def test_good_lines_need_no_reference_parser(tmp_path: Path) -> None:
    """Ordinary lines are read by the query alone, which makes the rollup fast."""
    ordinary = [
        GOOD,
        GOOD + b"\r",
        json.dumps(play(), indent=1).replace("\n", "").encode(),
        line(user_id="Zoë", title="Übung"),
        line(utc_offset_minutes=-300, language="pt-BR", device="smart_tv-2", watched_seconds=0),
        to_line(play() | {"tags": [], "more": {}}),
        to_line(play() | {"info": "Finance of nanotubes", "more": [{"inf": {}}]}),
    ]
    with mock.patch.object(kernel, "validate", side_effect=AssertionError("the reference parser was asked")):
        events, rejects = split(tmp_path, *ordinary)
    assert (len(events), rejects) == (7, [])


# Duplicates.


def test_event_counts_once(world: World) -> None:
    """An event that arrives three times, in two files of different units, is one play and two duplicates."""
    world.put("plays+0+0.json", GOOD, line(event_id="e2"), GOOD)
    world.put("plays+1+0.json.gz", GOOD)
    with mock.patch.object(stage, "MIB", 0):
        world.run()
    rolled = world.rolled()
    assert rolled.viewership == [(2509799, "KR", 22, "tv", 2, 120)]
    assert rolled.counts == {"rows_in": 4, "rows_out": 2, "duplicates": 2, "rejects": {}}


def test_earliest_received_counts(world: World) -> None:
    """The event received first counts, with its device, seconds and local hour, whichever file it is in."""
    world.put("plays+0+0.json", line(received_at="2026-01-05T13:59:59.999Z", device="phone", watched_seconds=9))
    world.put("plays+1+0.json", line(received_at="2026-01-05T13:00:00.001Z", device="tablet", watched_seconds=7))
    world.put("plays+2+0.json", line(received_at="2026-01-05T14:01:00.000Z", device="tv", watched_seconds=8))
    world.run()
    at = datetime(2026, 1, 5, 13, 0, 0, 1000)  # noqa: DTZ001 - UTC without a zone
    assert world.rolled().viewership == [(2509799, "KR", 22, "tablet", 1, 7)]
    assert viewer_hours(world) == [(U1, 2509799, "KR", "ko", 1, 7, at, at)]


def test_earliest_counts_though_written_in_another_zone(world: World) -> None:
    """The event received first is found by its instant, also if the times are written in different zones."""
    world.put("a.json", line(device="phone"), line(received_at="2026-01-05T22:02:11.122999+09:00", device="tv"))
    world.run()
    assert world.rolled().viewership == [(2509799, "KR", 22, "tv", 1, 60)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"episode_id": 2}, {"episode_id": 10}, id="lesser episode"),
        pytest.param({"country": "KR"}, {"country": "US"}, id="first country"),
        pytest.param({"language": "pt"}, {"language": "pt-BR"}, id="first language"),
        pytest.param({"device": "phone"}, {"device": "tv"}, id="first device"),
        pytest.param({"utc_offset_minutes": -300}, {"utc_offset_minutes": 540}, id="westernmost"),
        pytest.param({"watched_seconds": 9}, {"watched_seconds": 60}, id="fewer seconds"),
        pytest.param(
            {"episode_id": 2, "country": "US"}, {"episode_id": 3, "country": "KR"}, id="episode before country"
        ),
        pytest.param(
            {"country": "KR", "language": "ko"}, {"country": "US", "language": "en"}, id="country before language"
        ),
        pytest.param(
            {"language": "en", "device": "tv"}, {"language": "ko", "device": "pc"}, id="language before device"
        ),
        pytest.param(
            {"device": "pc", "utc_offset_minutes": 540},
            {"device": "tv", "utc_offset_minutes": -300},
            id="device before offset",
        ),
        pytest.param(
            {"utc_offset_minutes": -300, "watched_seconds": 60}, {"watched_seconds": 9}, id="offset before seconds"
        ),
    ],
)
@pytest.mark.parametrize("swapped", [False, True], ids=["in order", "the other way round"])
def test_tie_is_decided_by_content(world: World, one: dict[str, Any], other: dict[str, Any], swapped: bool) -> None:
    """Of two events received at the same instant the first by content counts, in either order of arrival."""
    pair = (line(**other), line(**one)) if swapped else (line(**one), line(**other))
    world.put("a.json", *pair)
    world.run()
    record = play(**one)["event"]
    local = {-300: 8, 540: 22}[record["utc_offset_minutes"]]
    row = (record["episode_id"], record["country"], local, record["device"], 1, record["watched_seconds"])
    assert world.rolled().viewership == [row]


def test_two_viewers_may_share_an_event_id(tmp_path: Path) -> None:
    """Two viewers may use the same event id, and the event counts for each of them."""
    world = new_world(tmp_path, buckets=1)
    world.put("a.json", GOOD, line(user_id="u2"), line(user_id="u2"), GOOD, line(user_id="u3"))
    world.run()
    assert world.rolled().counts == {"rows_in": 5, "rows_out": 3, "duplicates": 2, "rejects": {}}
    assert {U1, U2} < {row[0] for row in viewer_hours(world)}


def test_rejected_line_is_no_duplicate(world: World) -> None:
    """An event id that appears first in a rejected line is not a duplicate."""
    world.put("a.json", line(device="TV", received_at="2026-01-05T13:00:00.000Z"), GOOD)
    world.run()
    assert world.rolled().counts == {"rows_in": 2, "rows_out": 1, "duplicates": 0, "rejects": {"device": 1}}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(spoilt(b'"e1"', rb'"\u00651"'), id="an escape"),
        pytest.param(spoilt(b"11.123Z", b"11.123000Z"), id="read by the reference parser"),
        pytest.param(json.dumps(play()).encode(), id="more space"),
    ],
)
def test_duplicate_is_known_however_it_is_written(world: World, other: bytes) -> None:
    """A duplicate is recognised in any notation, by the query and by the reference parser."""
    world.put("a.json", GOOD, other)
    world.run()
    assert world.rolled().counts["duplicates"] == 1


def test_like_ids_are_not_the_same(world: World) -> None:
    """Ids that differ in case, accents, spaces or composition are different, for events and for users."""
    alike = ["é", "e\u0301", "E\u0301", "e", " e", "e ", "e\u200b", "ｅ"]  # noqa: RUF001 - meant to be
    world.put("a.json", *(line(event_id=event, user_id=user) for event in alike for user in alike))
    world.run()
    assert world.rolled().counts["rows_out"] == 64
    assert len(viewer_hours(world)) == 8


def test_delivered_twice_changes_only_the_duplicates(world: World) -> None:
    """A file delivered twice under different names changes the number of duplicates only."""
    world.put("plays+0+0.json", *many(50))
    world.run()
    before = world.digests()
    world.put("plays+0+7.json.gz", *many(50))
    world.run()
    assert world.digests() == before
    assert world.rolled().counts == {"rows_in": 100, "rows_out": 50, "duplicates": 50, "rejects": {}}


# Counts.


def test_rows_worked_out_by_hand(world: World) -> None:
    """Plays, seconds, local hours across midnight, and first and last times agree with values worked out by hand."""
    world.put(
        "a.json",
        line(event_id="1"),
        line(event_id="2", received_at="2026-01-05T13:03:11.500Z", device="phone", watched_seconds=30),
        line(event_id="3", received_at="2026-01-05T13:01:11.000Z", language="en", watched_seconds=1),
        line(event_id="4", user_id="u2", utc_offset_minutes=660),  # 00:02 of the next day
        line(event_id="5", user_id="u2", utc_offset_minutes=-720, country="US"),  # 01:02
        line(event_id="6", user_id="u2", utc_offset_minutes=57, country="US"),  # 13:59
        line(event_id="7", user_id="u2", utc_offset_minutes=58, country="US"),  # 14:00
        line(event_id="8", user_id="u2", received_at="2026-01-05T12:59:59.999Z", utc_offset_minutes=0),
    )
    world.run()
    rolled = world.rolled()
    assert rolled.viewership == [
        (2509799, "KR", 0, "tv", 1, 60),
        (2509799, "KR", 12, "tv", 1, 60),
        (2509799, "KR", 22, "phone", 1, 30),
        (2509799, "KR", 22, "tv", 2, 61),
        (2509799, "US", 1, "tv", 1, 60),
        (2509799, "US", 13, "tv", 1, 60),
        (2509799, "US", 14, "tv", 1, 60),
    ]

    def at(hour: int, minute: int, second: int, milli: int) -> datetime:
        return datetime(2026, 1, 5, hour, minute, second, milli * 1000)  # noqa: DTZ001 - UTC without a zone

    assert rolled.viewer_hour == {
        U1 % 3: [
            (U1, 2509799, "KR", "en", 1, 1, at(13, 1, 11, 0), at(13, 1, 11, 0)),
            (U1, 2509799, "KR", "ko", 2, 90, at(13, 2, 11, 123), at(13, 3, 11, 500)),
        ],
        U2 % 3: [
            (U2, 2509799, "KR", "ko", 2, 120, at(12, 59, 59, 999), at(13, 2, 11, 123)),
            (U2, 2509799, "US", "ko", 3, 180, at(13, 2, 11, 123), at(13, 2, 11, 123)),
        ],
    }


def test_fields_of_another_producer(tmp_path: Path) -> None:
    """Lines with the fields in other places give the same rows, and the query reads them."""
    fields = {
        "event_id": "id", "received_at": "envelope.at.utc", "user_id": "who", "episode_id": "what.episode",
        "country": "where.country", "utc_offset_minutes": "where.offset", "language": "what.audio", "device": "how",
        "watched_seconds": "s",
    }  # fmt: skip
    theirs = {
        "id": "e1", "envelope": {"at": {"utc": "2026-01-05T13:02:11.123Z"}}, "who": "u1", "how": "tv", "s": 60,
        "what": {"episode": 2509799, "audio": "ko"}, "where": {"country": "KR", "offset": 540}, "event": "play",
    }  # fmt: skip
    ours, other = new_world(tmp_path / "ours"), new_world(tmp_path / "theirs", fields=fields)
    ours.put("a.json", GOOD)
    other.put("a.json", to_line(theirs))
    ours.run()
    with mock.patch.object(kernel, "validate", side_effect=AssertionError("the reference parser was asked")):
        assert other.run().failed == ()
    assert other.digests() == ours.digests()


def test_rejects_tell_where_and_what(world: World) -> None:
    """A reject has key, line number, reason and the line without its end, and rejects are sorted by place."""
    second = world.put("plays+1+0.json.gz", GOOD, b"{", GOOD, spoilt(b"u1", b"\xff") + b"\r")
    first = world.put("plays+0+0.json", b"", line(country="kr"))
    world.run()
    assert world.rolled().rejects == [
        (first, 1, "blank", b""),
        (first, 2, "country", line(country="kr")),
        (second, 2, "not_json", b"{"),
        (second, 4, "not_utf8", spoilt(b"u1", b"\xff") + b"\r"),
    ]
    assert world.rolled().counts == {
        "rows_in": 6,
        "rows_out": 1,
        "duplicates": 1,
        "rejects": {"blank": 1, "country": 1, "not_json": 1, "not_utf8": 1},
    }


@pytest.mark.parametrize("spoil", [b"", b"\xff"], ids=["text", "not UTF-8"])
def test_only_the_beginning_of_a_long_rejected_line_is_kept(world: World, spoil: bytes) -> None:
    """Only the first 64 KiB of a rejected line are kept."""
    raw = spoil + b"x" * 100_000
    world.put("a.json", raw)
    world.run()
    assert [row[3] for row in world.rolled().rejects] == [raw[: 64 << 10]]


def test_unit_shows_no_viewer_key(tmp_path: Path) -> None:
    """The text of a unit does not contain the viewer key, and the kernel gets the key."""
    world = new_world(tmp_path)
    world.put("a.json", GOOD)
    with mock.patch.object(LocalEngine, "map_reduce", return_value=[]) as sent:
        world.run()
    (unit,) = sent.call_args.args[2]
    assert SECRET not in f"{unit} {unit!r} {asdict(unit)}"
    assert unit.viewer_key.get_secret_value() == SECRET
    assert pickle.loads(pickle.dumps(unit)) == unit  # noqa: S301 - as Spark sends it

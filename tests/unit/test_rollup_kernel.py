"""The kernels of rollup: they agree with the reference parser and the oracle, in whatever order lines arrive."""

import json
import math
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from jobs.rollup import lines, parsing, stage
from jobs.rollup.contract import Event, Fields, Reason, Window, path_of, validate
from jobs.rollup.key import keys_of
from jobs.rollup.parsing import parse_query, split_lines
from jobs.rollup.passes import Pass
from jobs.rollup.pseudonyms import Viewers
from jobs.rollup.rejects import RejectLog
from jobs.rollup.several import split_line
from marquee.engine.duckdb import open_database
from marquee.engine.local import LocalEngine
from tests.helpers_rollup import GOOD, SECRET, World, line, lines_of, many, new_world, play, spoilt, to_line
from tests.oracle.rollup import viewer_number

WINDOW = Window(datetime(2026, 1, 5, 12, 45), datetime(2026, 1, 5, 14, 15))  # noqa: DTZ001 - UTC without a zone
BOM = b"\xef\xbb\xbf"
KEPT = 64 << 10
Row = dict[str, Any]
Split = tuple[list[Row], list[tuple[int, str, bytes]]]
KEY = b"a key that only tests have"
U1, U2 = (viewer_number(KEY, user) for user in ("u1", "u2"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty world in which any lines may be rejected."""
    return new_world(tmp_path, reject_share=1, allow_no_plays=True)


def viewer_hours(world: World) -> list[tuple[Any, ...]]:
    """Return the viewer hours of all buckets, in order."""
    return sorted(row for rows in world.rolled().viewer_hour.values() for row in rows)


def split(folder: Path, *raws: bytes, window: Window = WINDOW, passes: Sequence[bool] = (False, True)) -> Split:
    """Split lines; return the events without their event ids, and the rejects, both in order.

    Both without and with a pass that knows the shape of GOOD, which have to agree; or as ``passes`` says.
    """
    path = folder / "lines.json"
    found = []
    for passing in (_pass_that_knows_good(folder, window) if one else None for one in passes):
        path.write_bytes(lines_of(*raws))
        with open_database() as db:
            batch = [("lines.json", block) for block in lines.read_blocks(path, "lines.json", passing=passing)]
            parse = parse_query(Fields(), window, passing or Viewers((KEY,)))
            events, rejects, _ = split_lines(lambda: db, batch, parse, RejectLog(math.inf))
        bare = events.drop_columns("event_key").to_pylist()
        rejected = sorted((row["line"], row["reason"], row["raw"]) for row in rejects.to_pylist())
        found.append((_in_order(bare), rejected))
    assert found.count(found[0]) == len(found)
    return found[0]


def _pass_that_knows_good(folder: Path, window: Window) -> Pass:
    found = Pass((KEY,))
    found.begin_unit(Fields(), window)
    (folder / "good.json").write_bytes(GOOD)
    list(lines.read_blocks(folder / "good.json", "good.json", passing=found))
    return found


def validated(*raws: bytes, window: Window = WINDOW) -> Split:
    """Return the events and rejects of the reference parser for the same lines."""
    events, rejects = [], []
    before = None
    for number, (raw, known) in enumerate(_pieces(raws), start=1):
        found = known or validate(raw, Fields(), window)
        if isinstance(found, Event):
            event = {name: value for name, value in vars(found).items() if name not in ("event_id", "user_id")}
            events.append({**event, "viewer": viewer_number(KEY, found.user_id)})
        elif found is not Reason.BLANK or before is not Reason.BLANK:  # of a run of blank lines, the first is kept
            rejects.append((number, str(found), raw[:KEPT]))
        before = found
    return _in_order(events), rejects


def _pieces(raws: Sequence[bytes]) -> Iterator[tuple[bytes, Reason | None]]:
    """Yield the events of lines, which may be several in a line, with the reject reasons that are known already."""
    for raw in raws:
        pieces = split_line(raw.decode(errors="surrogateescape")) if _is_utf8(raw) else None
        for piece in pieces or [raw.removeprefix(BOM).decode(errors="surrogateescape")]:
            reason, text = (None, piece) if isinstance(piece, str) else piece
            yield text.encode(errors="surrogateescape"), reason


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


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
    "a comma in place of what a number takes": spoilt(b"540", b"6e1").replace(b":60}", b":60,}"),
    "NaN after a space in place of the same": spoilt(b"540", b"6e1").replace(b":60}", b": NaN}"),
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
    """The queries and the reference parser give the same values and the same rejects."""
    expected = validated(raw)
    assert split(tmp_path, raw) == expected
    with mock.patch.object(parsing, "FAST_REJECTS", 1):
        assert split(tmp_path, raw) == expected


@pytest.mark.parametrize(
    "at",
    [
        "2026-01-05T13:02:11Z", "2026-01-05T13:02:11.1Z", "2026-01-05T13:02:11.123456Z", "2026-01-05T22:02:11+09:00",
        "2026-01-05T13:02:11.123456789Z", "2026-01-05T08:32:11.123-04:30", "2026-01-06T03:02:11.999999999+14:00",
        "2026-01-05T13:02:11.123+00:00",
    ],
)  # fmt: skip
def test_instants_of_any_form_need_no_reference_parser(tmp_path: Path, at: str) -> None:
    """A producer that writes offsets, other fractions or none pays for the query alone, and has the same plays."""
    raw = line(received_at=at)
    expected = validated(raw)
    with mock.patch.object(parsing, "validate", side_effect=AssertionError):
        assert split(tmp_path, raw) == expected


def test_few_events_in_arrays_need_no_query_of_their_own(tmp_path: Path) -> None:
    """One query reads a batch. The reference parser judges the few events that its arrays hold."""
    with mock.patch.object(parsing, "_parse_surely", wraps=parsing._parse_surely) as query:
        events, rejects = split(tmp_path, GOOD, b"[" + GOOD + b",1]", passes=[False])
    assert (len(events), [reason for _, reason, _ in rejects]) == (2, ["not_an_object"])
    assert query.call_count == 1


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
    "language": (["aa", "KO", "pt-br", "x-1", "aaa-12345678"], ["a", "aaaaaaaaa", "aa-123456789", "aa-xx-yy"]),
    "device": (["a", "a" * 32], ["", "a" * 33]),
    "watched_seconds": ([0, 3600], [-1, 3601, 2**15, 2**16 + 60]),
}
"""The smallest and the largest valid values of each field, and the values just beyond."""


@pytest.mark.parametrize("name", EDGES)
def test_edges_of_the_contract(tmp_path: Path, name: str) -> None:
    """Query and pass accept values at the edges without the reference parser, which rejects those beyond."""
    inside, outside = ([line(**{name: value}) for value in values] for values in EDGES[name])
    events, rejects = split(tmp_path, *inside, *outside)
    assert (events, rejects) == validated(*inside, *outside)
    assert (len(events), len(rejects)) == (len(inside), len(outside))
    with mock.patch.object(parsing, "validate", side_effect=AssertionError("the reference parser was asked")):
        assert len(split(tmp_path, *inside)[0]) == len(inside)


@pytest.mark.parametrize("blank", [b" ", rb"\t", rb"\n", rb"\u000b", rb"\u00a0", b"+", b"-"])
def test_one_digit_is_no_hour(tmp_path: Path, blank: bytes) -> None:
    """A white space or a sign instead of a digit of the hour is rejected."""
    night = Window(datetime(2026, 1, 5, 2, 45), datetime(2026, 1, 5, 4, 15))  # noqa: DTZ001 - UTC without a zone
    raw = spoilt(b"T13", b"T" + blank + b"3")
    assert split(tmp_path, raw, window=night) == ([], [(1, "received_at", raw)])


@pytest.mark.parametrize("form", ["24:00:00.000Z", "24:00:00Z", "24:00:00.000000Z", "23:60:00.000Z", "23:59:60.000Z"])
def test_midnight_is_hour_0_of_the_next_day(tmp_path: Path, form: str) -> None:
    """Hour 24, minute 60 and second 60 are rejected, also where a database takes them for midnight."""
    night = Window(datetime(2026, 1, 4, 23, 45), datetime(2026, 1, 5, 1, 15))  # noqa: DTZ001 - UTC without a zone
    raw = line(received_at=f"2026-01-04T{form}")
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
    with mock.patch.object(parsing, "validate", side_effect=AssertionError("the reference parser was asked")):
        events, rejects = split(tmp_path, *ordinary, passes=[False])
    assert (len(events), rejects) == (7, [])


def test_event_in_the_slack_counts_in_the_hour_of_its_folder(world: World) -> None:
    """The hour from 13:00 has the events of 12:45 and of a moment before 14:15, each at its own local hour."""
    times = ("12:45:00.000", "13:30:00.000", "14:14:59.999", "14:15:00.000")
    world.put("a.json", *(line(event_id=time, received_at=f"2026-01-05T{time}Z") for time in times))
    world.run()
    rolled = world.rolled()
    assert sorted(rolled.viewership) == [(2509799, "KR", local_hour, "tv", 1, 60) for local_hour in (21, 22, 23)]
    assert rolled.counts["rejects"] == {"outside_hour": 1}


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
    start = datetime(2026, 1, 5, 12, 59, 53, 1000)  # noqa: DTZ001 - UTC without a zone
    assert world.rolled().viewership == [(2509799, "KR", 22, "tablet", 1, 7)]
    assert viewer_hours(world) == [(U1, 2509799, "KR", "ko", 1, 7, start, start + timedelta(seconds=7))]


def test_an_event_of_an_hour_begins_an_hour_before_its_receipt(world: World) -> None:
    """An event of 3,600 seconds, the most that the contract allows, stands for the hour before its receipt."""
    world.put("a.json", line(received_at="2026-01-05T13:30:00.000Z", watched_seconds=3600))
    world.run()
    end = datetime(2026, 1, 5, 13, 30)  # noqa: DTZ001 - UTC without a zone
    assert viewer_hours(world) == [(U1, 2509799, "KR", "ko", 1, 3600, end - timedelta(hours=1), end)]


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


def test_languages_are_the_same_in_any_case(world: World) -> None:
    """Plays in ``KO`` and ``ko`` are plays in one language, the query reads them, and a private language counts."""
    world.put("a.json", line(language="KO"), line(event_id="e2"), line(event_id="e3", language="X-Private"))
    with mock.patch.object(parsing, "validate", side_effect=AssertionError("the reference parser was asked")):
        world.run()
    start = datetime(2026, 1, 5, 13, 1, 11, 123000)  # noqa: DTZ001 - UTC without a zone
    end = start + timedelta(seconds=60)
    assert viewer_hours(world) == [
        (U1, 2509799, "KR", "ko", 2, 120, start, end),
        (U1, 2509799, "KR", "x-private", 1, 60, start, end),
    ]


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
    """Plays, seconds, local hours across midnight, and start and end of play are those worked out by hand."""
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
            (U1, 2509799, "KR", "en", 1, 1, at(13, 1, 10, 0), at(13, 1, 11, 0)),
            (U1, 2509799, "KR", "ko", 2, 90, at(13, 1, 11, 123), at(13, 3, 11, 500)),
        ],
        U2 % 3: [
            (U2, 2509799, "KR", "ko", 2, 120, at(12, 58, 59, 999), at(13, 2, 11, 123)),
            (U2, 2509799, "US", "ko", 3, 180, at(13, 1, 11, 123), at(13, 2, 11, 123)),
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
    with mock.patch.object(parsing, "validate", side_effect=AssertionError("the reference parser was asked")):
        assert other.run().failed == ()
    assert other.digests() == ours.digests()


ODD_NAMES = [
    "@timestamp", "event.user_id", "user-id", "user id", 'a"b', "a\\b", "a'b", "번호", "é", "e\u0301", "\U0001f600",
    "\x7f", "a\tb", "a\x00b", "$window_start", "{{event_id}}", "--", ";", "*", "0", "rowid", "select", "MAP", "JSON",
    "null", "~1", "/",
]  # fmt: skip
NINE = list(asdict(Fields()))


def flat(names: list[str]) -> tuple[dict[str, str], bytes]:
    """Return the mapping of the nine fields to names of a flat line, and the line of GOOD under these names."""
    record = play()
    values = [record["event_id"], record["received_at"], *record["event"].values()]
    fields = {field: path_of([name]) for field, name in zip(NINE, names, strict=True)}
    return fields, to_line(dict(zip(names, values, strict=True)))


@pytest.mark.parametrize("first", range(0, 27, 9))
def test_any_name_is_read_by_the_query(tmp_path: Path, first: int) -> None:
    """Names of any characters are read by the query, with every part of it: no name becomes part of the SQL."""
    fields, raw = flat(ODD_NAMES[first : first + 9])
    ours, other = new_world(tmp_path / "ours"), new_world(tmp_path / "theirs", fields=fields)
    ours.put("a.json", GOOD)
    other.put("a.json", raw)
    ours.run()
    with mock.patch.object(parsing, "validate", side_effect=AssertionError("the reference parser was asked")):
        assert other.run().failed == ()
    assert other.digests() == ours.digests()


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["id", "ID", "Id", "iD", "kind", "KIND", "Kind", "kINd", "K"], id="names that differ in case"),
        pytest.param(["", " ", "a", "b", "c", "d", "e", "f", "g"], id="the empty name"),
    ],
)
def test_names_that_the_query_cannot_tell_apart(tmp_path: Path, names: list[str]) -> None:
    """Names that differ only in case, and the empty name, are read by the reference parser."""
    fields, raw = flat(names)
    ours, other = new_world(tmp_path / "ours"), new_world(tmp_path / "theirs", fields=fields)
    ours.put("a.json", GOOD)
    other.put("a.json", raw)
    ours.run()
    assert other.run().failed == ()
    assert other.digests() == ours.digests()


def test_one_place_of_two_fields(tmp_path: Path) -> None:
    """Where two fields have one place, a line that is not JSON is rejected, whatever its length."""
    fields = {"device": "event.user_id"}
    world = new_world(tmp_path, fields=fields, allow_no_plays=True)
    fine = play()
    del fine["event"]["device"]
    world.put("a.json", to_line(fine), to_line(fine)[:-1] + b",\t\t}")
    world.run()
    assert world.rolled().viewership == [(2509799, "KR", 22, "u1", 1, 60)]
    assert world.rolled().counts["rejects"] == {"not_json": 1}


def test_flattened_events(tmp_path: Path) -> None:
    """Events that a transform flattened with dots are read, with the time under ``@timestamp``."""
    raw = (
        b'{"event_id": "i0", "@timestamp": "2026-01-05T13:02:11.123Z", "event.user_id": "user0", "event.episode_id": 1,'
        b' "event.country": "KR", "event.utc_offset_minutes": 540, "event.language": "ko", "event.device": "tv",'
        b' "event.watched_seconds": 60}'
    )
    fields = {name: f"/event.{name}" for name in NINE[2:]} | {"received_at": "@timestamp"}
    world = new_world(tmp_path, fields=fields)
    world.put("a.json", raw)
    assert world.run().failed == ()
    assert world.rolled().viewership == [(1, "KR", 22, "tv", 1, 60)]


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


def test_unit_has_no_viewer_key(tmp_path: Path) -> None:
    """What is sent of a unit does not contain the viewer key; the kernel gets the key by its fingerprint."""
    world = new_world(tmp_path)
    world.put("a.json", GOOD)
    with mock.patch.object(LocalEngine, "map_reduce_merge", return_value=([], None)) as sent:
        world.run()
    (unit,) = sent.call_args.args[3]
    sent_bytes = pickle.dumps(unit)
    assert SECRET.encode() not in sent_bytes
    assert SECRET not in f"{unit} {unit!r} {asdict(unit)}"
    assert pickle.loads(sent_bytes) == unit  # noqa: S301 - as Spark sends it
    assert keys_of(unit.viewer_key) == (SECRET.encode(),)

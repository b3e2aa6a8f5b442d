"""Lines and files in which events are not one on each line: read as the events that they are."""

import gzip
import json
from pathlib import Path
from unittest import mock

import pytest

from jobs.rollup import lines, several
from jobs.rollup.several import split_line
from tests.helpers_rollup import line, many, new_world, play, spoilt, to_line
from tests.oracle.rollup import viewer_number
from tests.unit.test_rollup_kernel import KEY, split
from tests.unit.test_rollup_lines import read

BOM = b"\xef\xbb\xbf"
E1, E2, E3 = many(3)
INDENTED = json.dumps(play(event_id="e1"), indent=2).encode()
QUOTED = json.dumps(E1.decode()).encode()


def users(folder: Path, *raws: bytes) -> tuple[list[str], list[tuple[int, str]]]:
    """Return the users of the plays in some lines, and the numbers and reasons of the rejects."""
    events, rejects = split(folder, *raws)
    names = {viewer_number(KEY, f"u{n}"): f"u{n}" for n in range(1, 10)}
    return sorted(names[one["viewer"]] for one in events), [(n, reason) for n, reason, _ in rejects]


@pytest.mark.parametrize(
    ("raw", "plays", "rejects"),
    [
        pytest.param(E1 + E2 + E3, 3, [], id="one after another"),
        pytest.param(E1 + b" \t" + E2, 2, [], id="with space between"),
        pytest.param(E1 + BOM + E2, 2, [], id="with a byte order mark between"),
        pytest.param(E1 + b"\x00" + E2 + b"\x1e" + E3, 3, [], id="with control characters between"),
        pytest.param(E1 + b";" + E2 + b"|" + E3, 3, [], id="with semicolons and bars between"),
        pytest.param(E1 + "\u2028".encode() + E2 + "\u00a0".encode() + E3, 3, [], id="with spaces of Unicode between"),
        pytest.param(BOM + E1, 1, [], id="a byte order mark first"),
        pytest.param(b"[" + E1 + b", " + E2 + b"]", 2, [], id="an array"),
        pytest.param(b"[" + E1 + b"]", 1, [], id="an array of one"),
        pytest.param(b"[[" + E1 + b"],[" + E2 + b"]]", 2, [], id="arrays in an array"),
        pytest.param(b"[" + E1 + b"][" + E2 + b"]", 2, [], id="arrays one after another"),
        pytest.param(QUOTED, 1, [], id="quoted"),
        pytest.param(json.dumps(QUOTED.decode()).encode(), 1, [], id="quoted twice"),
        pytest.param(json.dumps((E1 + b"\n" + E2).decode()).encode(), 2, [], id="lines in a quoted text"),
        pytest.param(json.dumps(INDENTED.decode()).encode(), 1, [], id="an indented event in a quoted text"),
        pytest.param(b"[" + QUOTED + b"," + E2 + b"]", 2, [], id="a quoted event in an array"),
        pytest.param(E1 + E2[:-9], 1, [(2, "not_json")], id="the last one cut short"),
        pytest.param(E1[:-1] + E2 + E3, 2, [(1, "not_json")], id="the first one cut short"),
        pytest.param(E1[:-9] + E2 + E3, 1, [(1, "not_json")], id="cut short where the next cannot be told"),
        pytest.param(E1 + spoilt(b"60", b"60x", E2) + E3, 2, [(2, "not_json")], id="the second one spoilt"),
        pytest.param(E1 + line(country="kr") + E3, 2, [(2, "country")], id="the second one invalid"),
        pytest.param(b"[" + E1 + b",null," + E3 + b"]", 2, [(2, "not_an_object")], id="a null in an array"),
        pytest.param(b"[]", 0, [(1, "not_an_object")], id="an empty array"),
        pytest.param(b'"text"', 0, [(1, "not_an_object")], id="a text"),
        pytest.param(E1 + b"x", 0, [(1, "not_json")], id="an event and something else"),
        pytest.param(E1 + E2[:-1] + b',"x":' + b"9" * 5000 + b"}", 2, [], id="a number of 5,000 digits"),
        pytest.param(b"[" * 100_000, 0, [(1, "not_json")], id="brackets only"),
    ],
)
def test_events_in_a_line(tmp_path: Path, raw: bytes, plays: int, rejects: list[tuple[int, str]]) -> None:
    """Each event of a line is a play or a reject with a number of its own."""
    found, rejected = users(tmp_path, b"null", raw)
    assert len(found) == plays
    assert rejected == [(1, "not_an_object"), *((n + 1, reason) for n, reason in rejects)]


def test_event_with_objects_inside_is_one(tmp_path: Path) -> None:
    """An event with a list of objects in a further field is one event, also if the event is invalid."""
    assert split_line(spoilt(b"540", b'540,"x":[{"a":1},{"b":2}]').decode()) is None
    _, rejects = users(tmp_path, spoilt(b"540", b'540,"x":[{"a":1},{"b":2}]', line(country="kr")))
    assert rejects == [(1, "country")]


def test_numbers_of_lines_after_several_events(tmp_path: Path) -> None:
    """An event counts as a line: after a line of three events, the next line is number four, in whatever block."""
    raws = [E1 + E2 + E3, b"x", E1 + b"y", b"z" + E1, E1 + E2, b"null"]
    expected = [(4, "not_json"), (5, "not_json"), (6, "not_json"), (9, "not_an_object")]
    for block in (700, 1000, 16 << 20):
        world = new_world(tmp_path / str(block))
        world.put("a.json", *raws)
        with mock.patch.object(lines, "BLOCK_BYTES", block):
            world.run()
        assert [(n, reason) for _, n, reason, _ in world.rolled().rejects] == expected
        assert world.rolled().counts["rows_in"] == 9


def test_delivery_stream_without_line_ends(tmp_path: Path) -> None:
    """An hour of sixty files of one line with four events each has 240 plays of 60 seconds."""
    world = new_world(tmp_path)
    plays = many(240)
    for minute in range(60):
        data = b"".join(plays[minute * 4 : minute * 4 + 4])
        world.put_bytes(f"plays-1-2026-01-05-13-{minute:02}-00.json", data)
    world.run()
    assert world.rolled().counts == {"rows_in": 240, "rows_out": 240, "duplicates": 0, "rejects": {}}
    assert sum(row[5] for row in world.rolled().viewership) == 240 * 60


def test_gzip_members_without_a_last_line_end(tmp_path: Path) -> None:
    """Where a gzip member ends without a line end, the plays on both sides count."""
    world = new_world(tmp_path)
    world.put_bytes("shipped.json.gz", gzip.compress(E1 + b"\n" + E2) + gzip.compress(BOM + E3))
    world.run()
    assert world.rolled().counts == {"rows_in": 3, "rows_out": 3, "duplicates": 0, "rejects": {}}


@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"[\n" + b",\n".join([E1, E2, E3]) + b"\n]\n", id="an array of lines"),
        pytest.param(b"[" + b",\n".join([E1, E2, E3]) + b"]", id="an array that begins on the first line"),
        pytest.param(BOM + b"\n [\n " + b",".join([INDENTED, E2, E3]) + b"]", id="an array of indented events"),
        pytest.param(INDENTED + b"\n" + INDENTED + b"\n" + E3 + b"\n", id="indented events"),
        pytest.param(INDENTED.replace(b"\n", b"\r\n") * 3, id="indented events, as Windows ends lines"),
    ],
)
def test_values_over_many_lines(tmp_path: Path, data: bytes, packed: type[bytes]) -> None:
    """A file whose first value goes on beyond its first line is read as the events in it."""
    found = read(tmp_path, "a.json", packed(data))
    assert [n for n, _ in found] == [1, 2, 3]
    assert all(set(json.loads(str(text))) == {"event_id", "received_at", "event"} for _, text in found)


def test_array_without_an_end_is_bad_input(tmp_path: Path) -> None:
    """A file of an array that is cut short fails its hour."""
    world = new_world(tmp_path)
    key = world.put_bytes("a.json", b"[\n" + E1 + b",\n" + E2 + b"\n")
    assert world.run().exit_code == 65
    assert (
        world.failures().popitem()[1].startswith(f"{key} cannot be read to its end: it holds an array that has no end")
    )


@pytest.mark.parametrize(
    "first",
    [E1[:-9], E1[:30], b"[" + E1, b"{", E1 + E2[:40]],
    ids=["cut short", "cut in a text", "a bracket before it", "a bracket alone", "two, cut short"],
)
def test_spoilt_first_line_spoils_no_other(tmp_path: Path, first: bytes) -> None:
    """A first line that is cut short is one reject, and the lines after it are read as lines."""
    found, _ = users(tmp_path, first, line(event_id="e4", user_id="u4"), line(event_id="e5", user_id="u5"))
    assert [user for user in found if user in ("u4", "u5")] == ["u4", "u5"]


@pytest.mark.parametrize("block", [3 << 20, 16 << 20], ids=["longer than a block", "within a block"])
def test_line_that_is_longer_than_an_event_may_be(tmp_path: Path, block: int) -> None:
    """A line of 5 MiB with many events is read as these; an event of more than 1 MiB in it is too long, alone."""
    count = 12_000
    plays = many(count)
    long = line(event_id="x" * (1 << 20))
    data = b"a\n" + b"".join([*plays[:-1], long, plays[-1]]) + b"\nb\n"
    with mock.patch.object(lines, "BLOCK_BYTES", block):
        found = read(tmp_path, "a.json", data)
    assert [n for n, _ in found] == list(range(1, count + 4))
    assert (found[0], found[-1]) == ((1, "a"), (count + 3, "b"))
    assert [*found[1 : count + 1], found[-2]] == [
        *((n, text.decode()) for n, text in enumerate(plays[:-1], start=2)),
        (count + 1, ("line_too_long", long[: 64 << 10])),
        (count + 2, plays[-1].decode()),
    ]


def test_text_of_broken_pieces_is_bad_input(tmp_path: Path) -> None:
    """A long line that looks like many events, most of which are not JSON, fails the file: it may be anything."""
    data = b'{"a":1x}' * 200_000
    with pytest.raises(Exception, match="looks like several events one after another, but most of them are not JSON"):
        read(tmp_path, "a.json", data)


def test_split_is_linear_in_brackets() -> None:
    """A line of brackets is not an event, and is passed over at once."""
    assert several.split_line("[" * 1_000_000) is None
    assert to_line(play()).decode().count("{") == 2

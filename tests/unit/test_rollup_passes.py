"""The pass takes a line only as the event that the reference parser makes of it, and takes nearly all lines."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rollup import compiled, contract, lines, native, passes
from jobs.rollup.contract import Fields, Reason, Window
from jobs.rollup.lines import read_blocks
from jobs.rollup.passes import Pass, borrowed_pass
from jobs.rollup.shapes import shape_of
from jobs.rollup.viewer import viewer_of
from marquee.compiled import why_not_compiled
from tests import helpers_passes
from tests.fuzz_pass import fuzz
from tests.helpers_passes import KEY, WINDOW, new_pass, siphash_1_3, take
from tests.helpers_rollup import GOOD, line, lines_of, many, play, spoilt, to_line

FUZZED = Path(__file__).parents[1] / "fuzzed_lines.txt"
"""Lines that `python -m tests.fuzz_pass --keep` has kept."""


def spelt(record: dict[str, Any]) -> bytes:
    """Write a record with spaces, as Python's json does unless told otherwise."""
    return json.dumps(record, ensure_ascii=False).encode()


def turned(record: dict[str, Any]) -> bytes:
    """Write a record with its fields the other way round."""
    event = dict(reversed(record["event"].items()))
    return to_line(dict(reversed((record | {"event": event}).items())))


def with_more(record: dict[str, Any]) -> bytes:
    """Write a record with further fields of each kind, one of them nested, before, between and after the others."""
    event = {"version": 2, **record["event"], "tags": ["new", {"a": [1.5, None, True]}], "ratio": -1.25e-3}
    return to_line({"source": "tv/ü", **record, "event": event, "more": {"a": {}, "b": [[]], "é": "\u0001"}})


def again(record: dict[str, Any]) -> bytes:
    """Write a record whose fields are repeated with other values, which do not count."""
    text = to_line(record)
    return spoilt(b'"watched_seconds"', b'"country":"XX","watched_seconds"', text)[:-1] + b',"event":{},"event_id":1}'


SPELLINGS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "as the sink": to_line,
    "spaces": spelt,
    "tabs": lambda record: json.dumps(record, indent="\t", ensure_ascii=False).replace("\n", "\r").encode(),
    "a carriage return": lambda record: to_line(record) + b"\r",
    "spaces around": lambda record: b"  " + to_line(record) + b" \t",
    "other order": turned,
    "further fields": with_more,
    "repeated names": again,
    "escapes in names": lambda record: to_line(record).replace(b'"user_id"', rb'"us\u0065r_id"'),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_ordinary_lines_are_taken(spell: Callable[[dict[str, Any]], bytes]) -> None:
    """Once it has seen one line, the pass takes every line of that spelling, with other values in all fields."""
    records = [
        play(),
        play(event_id="x" * 64, user_id="é" * 128, received_at="2026-01-05T13:59:59Z", watched_seconds=0),
        play(event_id="日本", user_id="\U0001f600", received_at="2026-01-05T22:00:00.123456789+09:00"),
        play(episode_id=2**53, country="US", language="PT-br", device="smart_tv-2", utc_offset_minutes=-300),
    ]
    found = take(new_pass(), [spell(record) for record in records])
    assert found.left == []
    assert [event["language"] for event in found.events.values()] == ["ko", "ko", "ko", "pt-BR"]
    assert found.events[3]["received_at"] == datetime(2026, 1, 5, 13, 0, 0, 123456)  # noqa: DTZ001 - UTC


def test_further_fields_may_have_any_value() -> None:
    """The value of a further field may be of another kind in each line, and may contain escapes."""
    values = [b"1", b'"a"', b"null", b"[]", b'{"a":{"b":[1,2]}}', b'"\\"\\u00e9\\ud800"', b"-0.5E+7", b"true", b"false"]
    found = take(new_pass(), [spoilt(b"540", b'540,"x":' + value) for value in values])
    assert found.left == []


def test_fields_may_be_anywhere() -> None:
    """Fields are found at the places that the settings name, also below names with dots and other characters."""
    fields = Fields(event_id="/a.b/~1", user_id="event.who.id", received_at="ü")
    record = {"a.b": {"/": "e1"}, "ü": "2026-01-05T13:02:11.123Z", "event": {"who": {"id": "u1"}, **play()["event"]}}
    assert take(new_pass(fields), [to_line(record)] * 3).left == []


def test_two_fields_at_one_place_are_left() -> None:
    """If two fields have one place, the pass takes nothing."""
    fields = Fields(event_id="event.user_id")
    assert shape_of(GOOD.decode(), fields) is None
    assert take(new_pass(fields), [GOOD] * 3).left == [1, 2, 3]


def test_lines_of_several_shapes_are_taken() -> None:
    """An object may have lines of up to eight shapes, in any order; lines of further shapes are left."""
    raws = [spoilt(b"540", b'540,"x%d":0' % number) for number in range(native.SHAPES)]
    one = new_pass()
    assert take(one, raws + raws[::-1] + raws).left == []
    assert take(one, [spoilt(b"540", b'540,"y":0'), *raws]).left == [1]


def test_shapes_that_are_not_used_make_room() -> None:
    """The shapes of one object are known in the next; those that it does not have are forgotten after it."""
    raws = [spoilt(b"540", b'540,"x%d":0' % number) for number in range(native.SHAPES)]
    one = new_pass()
    take(one, raws)
    take(one, raws[:2])
    assert take(one, [raws[0], spoilt(b"540", b'540,"y":0')]).left == []


def test_lines_before_the_first_good_one_are_left() -> None:
    """A shape is learnt from a line that is an event, wherever it is; rejected lines teach nothing."""
    found = take(new_pass(), [b"", b"null", GOOD[:-1], line(watched_seconds=-1), GOOD, GOOD])
    assert found.left == [1, 2, 3, 4]


def test_only_some_lines_are_asked_for_a_shape() -> None:
    """After 32 lines without a shape, the reference parser is no longer asked for one."""
    with mock.patch.object(passes, "validate", wraps=contract.validate) as asked:
        found = take(new_pass(), [*[b"null"] * 100, GOOD])
    assert asked.call_count == passes.ATTEMPTS
    assert found.left == [*range(1, 102)]


@pytest.mark.parametrize("last_newline", [True, False])
def test_line_ends_where_the_object_ends(last_newline: bool) -> None:
    """A line that is cut at the end of the object is left, whatever an object before it left in the buffer."""
    one = new_pass()
    take(one, [GOOD])
    for cut in range(1, len(GOOD)):
        assert take(one, [GOOD, GOOD[:-cut]], last_newline=last_newline).left == [2]
    assert take(one, [GOOD, GOOD], last_newline=last_newline).left == []


def test_new_texts_are_checked_once() -> None:
    """Each distinct country, language and device is checked once; one that is invalid is left each time."""
    raws = [GOOD, line(language="EN"), line(language="en"), line(language="e"), line(country="kr")]
    one = new_pass()
    check = passes._Column.code_of
    with mock.patch.object(passes._Column, "code_of", autospec=True, side_effect=check) as checks:
        found = take(one, raws * 2)
    assert checks.call_count == 3 + 3 + 1  # texts of GOOD, further languages, a country
    assert found.left == [4, 5, 9, 10]
    assert {event["language"] for event in found.events.values()} == {"ko", "en"}
    assert list(one._columns["language"].codes) == ["ko", "en"]


def test_many_texts_are_left_until_the_next_object() -> None:
    """A column has room for 1,024 texts. Lines with further ones are left, and the next object begins anew."""
    raws = [line(device=f"d{number}") for number in range(native.TEXTS + 10)]
    one = new_pass()
    assert take(one, raws).left == [*range(native.TEXTS + 1, native.TEXTS + 11)]
    assert take(one, raws[-10:]).left == []


def test_texts_that_differ_late_are_two() -> None:
    """Texts with the same first bytes, or of which one begins with the other, have their own codes."""
    devices = ["a", "aa", "a" * 7, "a" * 8, "a" * 9, "a" * 31, "a" * 32, "a" * 31 + "b", "a" * 8 + "b"]
    found = take(new_pass(), [line(device=device) for device in devices])
    assert [event["device"] for event in found.events.values()] == devices


@pytest.mark.parametrize("window", [WINDOW, Window(datetime.min, datetime.max)], ids=["hour", "ever"])  # noqa: DTZ901
@given(data=st.data())
def test_any_change_of_a_line_is_seen(window: Window, data: st.DataObject) -> None:
    """Whatever bytes of good lines change, the pass takes none as anything but the event that it is."""
    one = new_pass(window=window)
    spell = data.draw(st.sampled_from([*SPELLINGS.values()]))
    good = spell(play(user_id="Zoë"))
    raws = [good]
    for _ in range(data.draw(st.integers(1, 20))):
        raw = bytearray(good)
        for _ in range(data.draw(st.integers(1, 2))):
            at, size = data.draw(st.integers(0, len(raw))), data.draw(st.integers(0, 3))
            raw[at : at + size] = data.draw(
                st.sampled_from([b"", b'"', b"\\", b"}", b",", b"0", b"-", b"\x00", b"\xff", b"\xed\xa0\x80", b"\r"])
                | st.binary(max_size=3)
            )
        raws.append(bytes(raw).replace(b"\n", b""))
    take(one, raws)


def test_each_byte_matters() -> None:
    """Of a good line each byte is replaced by each other one, left out, and doubled."""
    one = new_pass()
    raws = [GOOD]
    for at in range(len(GOOD)):
        raws += [GOOD[:at] + bytes([byte]) + GOOD[at + 1 :] for byte in range(256) if byte != 10]
        raws += [GOOD[:at] + GOOD[at + 1 :], GOOD[:at] + GOOD[at : at + 1] + GOOD[at:]]
    found = take(one, raws)
    assert len(found.events) > 900
    assert len(found.left) > 40_000


def read(one: Pass | None, path: Path) -> tuple[int, list[Any]]:
    """Return the number of events, and the lines that are left, in order."""
    count = 0
    left: list[Any] = []
    for block in read_blocks(path, path.name, passing=one):
        count += sum(one.num_rows for one in block.events)
        left += [(row["n"], row["text"]) for row in block.lines.to_pylist()]
        left += [(found.n, str(found.reason), found.raw) for found in block.unreadable]
        left += [(int(n), "empty") for n in block.empty]
    return count, sorted(left)


ODD = [b"", b"\r", b"null", b"\xff", b"[" + GOOD + b"]", GOOD + GOOD, b"x" * (1 << 20), b"x" * ((1 << 20) + 1), b"}"]


@pytest.mark.parametrize("block", [3 << 20, 1500 << 10])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_odd_lines_keep_their_numbers(tmp_path: Path, block: int, mark: bytes, end: bytes) -> None:
    """Lines that the pass leaves are those that are read without it, with the same numbers, wherever blocks end."""
    raws = [GOOD]
    for odd in ODD:
        raws += [odd, *many(20), odd, odd, GOOD]
    path = tmp_path / "a.json"
    path.write_bytes(mark + b"\n".join(raws) + end)
    with mock.patch.object(lines, "BLOCK_BYTES", block):
        plain, passed = read(None, path), read(new_pass(), path)
    taken = [one for one in plain[1] if len(one) == 2 and one[1].rstrip("\n").encode() in {GOOD, *many(20)}]
    expected = [one for one in plain[1] if one not in taken]
    if mark:  # then the first line is not one of the shape
        expected = [taken.pop(0), *expected]
    assert passed == (len(taken), sorted(expected))
    assert len(taken) > 180


def test_long_line_of_several_events_shifts_the_numbers(tmp_path: Path) -> None:
    """Each event in a line that is longer than a line may be has a number, and so have the lines after it."""
    longer = b"[" + b",".join([GOOD] * 6000) + b"]"
    path = tmp_path / "a.json"
    path.write_bytes(lines_of(GOOD, longer, GOOD, b"null"))
    count, left = read(new_pass(), path)
    assert (count, left[-1]) == (2, (6003, "null\n"))
    assert read(None, path)[1][-1] == (6003, "null\n")


def test_pass_is_given_up_where_it_does_not_pay(tmp_path: Path) -> None:
    """An object whose lines have no shape is read without the pass after its first block; the next one is not."""
    path, other = tmp_path / "a.json", tmp_path / "b.json"
    path.write_bytes(lines_of(*many(10), *[b'{"no":"play"}'] * 300_000))
    other.write_bytes(lines_of(*many(10)))
    one = new_pass()
    with (
        mock.patch.object(lines, "BLOCK_BYTES", 1 << 20),
        mock.patch.object(Pass, "read", autospec=True, side_effect=Pass.read) as reads,
    ):
        count, left = read(one, path)
        assert reads.call_count == 1
        assert read(one, other) == (10, [])
    assert (count, len(left)) == (10, 300_000)


def test_events_outlive_the_buffer(tmp_path: Path) -> None:
    """The events of a block, and the lines that it left, stay as they are when other objects are read."""
    path = tmp_path / "a.json"
    one = new_pass()
    path.write_bytes(lines_of(*many(100), b"null"))
    (first,) = read_blocks(path, "a", passing=one)
    assert first.lasting
    (events,) = first.events
    before = (events.to_pylist(), first.lines.to_pylist())
    path.write_bytes(lines_of(*many(100, device="phone", country="US", language="en"), b"[1]"))
    list(read_blocks(path, "a", passing=one))
    assert (events.to_pylist(), first.lines.to_pylist()) == before


def test_passes_are_kept_for_the_next_unit() -> None:
    """A thread gets a pass that is idle, with what it knows of users; another key gets another one."""
    with borrowed_pass((KEY,), Fields(), WINDOW) as one:
        take(one, [GOOD])
        with borrowed_pass((KEY,), Fields(), WINDOW) as other:
            assert other is not one
    with borrowed_pass((KEY,), Fields(), WINDOW) as next_one:
        assert next_one in (one, other)
    with borrowed_pass((b"another key of tests",), Fields(), WINDOW) as next_one:
        assert next_one not in (one, other)


def test_threads_have_their_own_passes() -> None:
    """Passes of several threads do not disturb each other."""

    def work(number: int) -> int:
        with borrowed_pass((KEY,), Fields(), WINDOW) as one:
            return len(take(one, many(2000, device=f"d{number}")).events)

    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(work, range(8))] == [2000] * 8


def test_stale_module_is_not_used(tmp_path: Path) -> None:
    """A module that was compiled from other sources than those beside it is not used."""
    assert compiled.why_not_compiled() is None
    (tmp_path / "native.pyx").write_text("# another version")
    with mock.patch.object(native, "__file__", str(tmp_path / "native.abi3.so")):
        why_not_compiled.cache_clear()
        assert compiled.why_not_compiled() == "the compiled modules are of another version of their sources"
    why_not_compiled.cache_clear()


def test_columns_of_slices() -> None:
    """Viewers and event keys are computed alike in any slice of a column, with and without the quotes of JSON."""
    plain = pa.array(["a1", "é2", "c3", "d4"], pa.string())
    quoted = pa.array(['"a1"', '"é2"', '"c3"', '"d4"'], pa.string())
    one = new_pass()
    keys = [siphash_1_3(one.event_key, text.encode()) for text in ("a1", "é2", "c3", "d4")]
    viewers = [viewer_of((KEY,), text) for text in ("a1", "é2", "c3", "d4")]
    for compute, expected in ((one.viewers_of, viewers), (one.event_keys_of, keys)):
        assert compute(plain).to_pylist() == expected
        assert compute(plain.slice(1)).to_pylist() == expected[1:]
        assert compute(quoted, margin=1).to_pylist() == expected


def test_lines_that_a_fuzzer_has_kept() -> None:
    """Lines of each kind that a fuzzer made, in two orders, are taken only as the reference parser reads them."""
    kept = [json.loads(one).encode("latin-1") for one in FUZZED.read_text().splitlines()]
    forwards, backwards = take(new_pass(), [GOOD, *kept]), take(new_pass(), [GOOD, *reversed(kept)])
    assert len(forwards.events) > len(kept) // 20
    assert len(backwards.events) > len(kept) // 20


def test_fuzzer_finds_a_line_that_is_taken_wrongly() -> None:
    """If the reference parser took no line at all, the first line that the pass takes would end the fuzzer."""
    refuses = mock.patch.object(helpers_passes, "validate", return_value=Reason.DEVICE)
    with refuses, pytest.raises(AssertionError, match="device"):
        fuzz(1, new_pass())

"""Rollup of arbitrary lines and objects: the kernel, the reference parser and the oracle agree."""

import gzip
import json
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.rollup import kernel, lines, stage
from tests.helpers_rollup import HOUR, World, new_world, play, to_line
from tests.unit.test_rollup_kernel import BOM, split, validated

plays = st.builds(
    play,
    event_id=st.sampled_from(["e1", "e2", "e3", "é", "e\u0301", 'e"']),
    user_id=st.sampled_from(["u1", "u2", "ü", "\U0001f600", "\u0301u", "u\\"]),
    received_at=st.sampled_from(
        [
            "2026-01-05T13:02:11.123Z",
            "2026-01-05T13:02:11.122Z",
            "2026-01-05T13:02:11.1229Z",
            "2026-01-05T22:02:11.123+09:00",
            "2026-01-05T12:45:00.000Z",
            "2026-01-05T14:14:59.999Z",
            "2026-01-05T14:15:00.000Z",
        ]
    ),
    episode_id=st.sampled_from([1, 2, 2**53]),
    country=st.sampled_from(["KR", "US"]),
    utc_offset_minutes=st.sampled_from([540, -300, 330, -720, 840]),
    language=st.sampled_from(["ko", "pt-BR"]),
    device=st.sampled_from(["tv", "phone"]),
    watched_seconds=st.sampled_from([0, 60, 3600]),
)


ODD = [
    b"null", b"true", b'"60"', b"60.0", b"6e1", b"-0", b"01", b"+1", b".5", b"1e400", b"9" * 30, b"9" * 5000, b"[]",
    b"{}", b"NaN", b"-Infinity", b"inf", b'""', rb'"\u0041"', rb'"\ud800"', rb'"\u0000"', rb'"a\"b"', rb'"\x"', b'"\t"',
    b'"\xff"', b'"' + b"x" * 129 + b'"', b'{"user_id":"u9"}', b'"2026-01-05T 3:02:11.123Z"',
]  # fmt: skip
"""Texts to replace a value."""
BITS = [
    b",", b" ", b"\t", b"\r", b"\n", b"\x00", b"\x1f", b"\x7f", b"\xff", b"\xed\xa0\x80", b"\\", b'"', b"{", b"}", b"[",
    b"]", b":", b"0", b"-", b"e", b"\xef\xbb\xbf", b"\xc2\xa0", b"\xe2\x80\xa8", b"NaN", b"/**/", b"null", b"\xcc\x81",
]  # fmt: skip
"""Texts to insert anywhere."""
NAMES = [b'"event_id":', b'"received_at":', b'"event":', *(f'"{name}":'.encode() for name in play()["event"])]


@st.composite
def any_lines(draw: st.DrawFn) -> bytes:
    """Generate a line: usually a play event in various spellings with up to three defects, or anything at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.one_of(st.binary(max_size=9), st.sampled_from([b"", b" ", b"null", b"[]", b"{}", b"1", b'"a"'])))
    spelling = draw(st.sampled_from([(",", ":"), (" , ", "\t: ")]))
    raw = json.dumps(draw(plays), ensure_ascii=draw(st.booleans()), separators=spelling).encode()
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2, 3]))):
        raw = _spoil(draw, raw)
    return raw


def _spoil(draw: st.DrawFn, raw: bytes) -> bytes:
    at, odd, name = draw(st.integers(0, len(raw))), draw(st.sampled_from(ODD)), draw(st.sampled_from(NAMES))
    before, found, after = raw.partition(name)
    value = after.partition(b",")[0].partition(b"}")[0]
    spoilt_ones = {
        "cut": raw[:at],
        "without": raw[:at] + raw[at + draw(st.integers(1, 3)) :],
        "with": raw[:at] + draw(st.sampled_from(BITS)) + raw[at:],
        "another value": before + found + (odd + after.removeprefix(value) if found else b""),
        "a value before": before + found + (odd + b"," + found + after if found else b""),
        "a further value": raw[:-1] + b',"further":' + odd + b"}",
    }
    return spoilt_ones[draw(st.sampled_from(sorted(spoilt_ones)))]


@st.composite
def any_objects(draw: st.DrawFn) -> dict[str, bytes]:
    """Generate one to three raw objects of arbitrary lines: plain or up to three gzip members, with any ending."""
    objects = {}
    for number in range(draw(st.integers(1, 3))):
        data = b"\n".join(draw(st.lists(any_lines(), max_size=15)))
        if data:
            mark, end = draw(st.sampled_from([b"", BOM])), draw(st.sampled_from([b"", b"\n", b"\r\n", b"\n\n"]))
            data = mark + data + end
        name = draw(st.sampled_from([f"plays+{number}.json", f"plays+{number}.json.gz"]))
        if name.endswith(".gz"):
            cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=2)))
            members = [data[first:end] for first, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
            data = b"".join(gzip.compress(member, 1) for member in members)
        objects[name] = data
    return objects


@settings(max_examples=25)
@given(any_objects(), st.sampled_from([0, 1, 7, 1 << 24]), st.booleans(), st.booleans())
def test_any_objects_give_what_the_oracle_gives(
    objects: dict[str, bytes], slack: int, units_of_one: bool, batches_of_one: bool
) -> None:
    """Rows, rejects and counts equal the oracle's, wherever blocks, batches and tasks are split."""
    longest = max(len(one) for data in objects.values() for one in _unpacked(data).split(b"\n"))
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(lines, "BLOCK_BYTES", longest + 4 + slack),
        mock.patch.object(stage, "MIB", 0 if units_of_one else 1 << 20),
        mock.patch.object(kernel, "BATCH_BYTES", 0 if batches_of_one else 1 << 20),
    ):
        world = new_world(Path(folder), reject_share=1, buckets=2)
        for name, data in objects.items():
            world.put_bytes(name, data)
        assert world.run().failed == ()
        assert world.rolled() == world.expected()


def _unpacked(data: bytes) -> bytes:
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


@given(st.lists(any_lines(), min_size=1, max_size=20))
def test_query_and_reference_parser_agree_on_any_line(raws: list[bytes]) -> None:
    """The query and the reference parser agree on any single line."""
    raws = [raw.replace(b"\n", b"") for raw in raws]
    raws[0] = raws[0].removeprefix(BOM)
    with tempfile.TemporaryDirectory() as folder:
        assert split(Path(folder), *raws) == validated(*raws)


@settings(max_examples=12)
@given(st.lists(plays, min_size=1, max_size=12), st.randoms(use_true_random=False), st.booleans())
def test_order_and_files_make_no_difference(records: list[dict[str, Any]], random: Any, compressed: bool) -> None:
    """The same lines in another order and other files give the same counts and, except for rejects, the same bytes."""
    raws = [to_line(record) for record in records]
    shuffled = random.sample(raws, len(raws))
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        worlds = [new_world(Path(folder), reject_share=1, buckets=1) for folder in (one, other)]
        worlds[0].put("plays.json", *raws)
        for number in range(3):
            worlds[1].put(f"plays+{number}.json" + ".gz" * compressed, *shuffled[number::3])
        with mock.patch.object(stage, "MIB", 0):
            digests = [_run(world) for world in worlds]
    assert digests[0] == digests[1]


def _run(world: World) -> tuple[dict[str, str], Any]:
    world.run()
    kept = {name: digest for name, digest in world.digests().items() if name != "rejects.parquet"}
    return kept, world.markers()[str(HOUR)].counts

"""Rollup of arbitrary lines and objects: the kernel, the reference parser and the oracle agree."""

import gzip
import json
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.rollup import kernel, lines, parsing, stage
from jobs.rollup.contract import Window
from tests.helpers_rollup import World, new_world, play, to_line
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
        # The first line of a file may begin a value of many lines, so it is one that does not.
        data = b"\n".join([b"null", *draw(st.lists(any_lines(), max_size=15))])
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
@given(
    any_objects(),
    st.sampled_from([0, 1, 7, 1 << 20]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 1000]),
    st.sampled_from(["compiled", "sql"]),
)
def test_any_objects_give_what_the_oracle_gives(
    objects: dict[str, bytes], slack: int, units_of_one: bool, batches_of_one: bool, fast_rejects: int, parser: str
) -> None:
    """Rows, rejects and counts equal the oracle's, wherever blocks, batches and tasks are split."""
    longest = max(len(one) for data in objects.values() for one in _unpacked(data).split(b"\n"))
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(lines, "BLOCK_BYTES", longest + 4 + slack),
        mock.patch.object(stage, "MIB", 0 if units_of_one else 1 << 20),
        mock.patch.object(kernel, "BATCH_BYTES", 0 if batches_of_one else 1 << 20),
        mock.patch.object(parsing, "FAST_REJECTS", fast_rejects),
    ):
        world = new_world(Path(folder), reject_share=1, allow_no_plays=True, buckets=2, parser=parser)
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
    raws = [b"null", *raws]  # the first line of a file may begin a value of many lines
    for fast_rejects in (1, 1000):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(parsing, "FAST_REJECTS", fast_rejects):
            assert split(Path(folder), *raws) == validated(*raws)


EVER = Window(datetime.min, datetime.max)  # noqa: DTZ901 - UTC without a zone
HOUR = Window(datetime(2026, 1, 5, 12, 45), datetime(2026, 1, 5, 14, 15))  # noqa: DTZ001 - UTC without a zone
BASES = [
    ["2026", "-", "01", "-", "05", "T", "13", ":", "02", ":", "11", ".123", "Z"],
    ["2026", "-", "01", "-", "05", "T", "00", ":", "00", ":", "00", ".000", "Z"],
    ["2024", "-", "02", "-", "29", "T", "23", ":", "59", ":", "59", ".999", "Z"],
]


@st.composite
def instants(draw: st.DrawFn) -> str:
    """Generate an instant with up to two odd parts."""
    parts = list(draw(st.sampled_from(BASES)))
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2]))):
        at = draw(st.sampled_from([*range(len(parts)), 0, 2, 4, 6, 8, 10]))
        choices = INSTANT_PARTS[at] if at % 2 or draw(st.integers(0, 3)) else NO_DIGITS
        parts[at] = draw(st.sampled_from(choices))
    return "".join(parts)


NO_DIGITS = [
    "1 ", " 1", "+1", "-1", "1", "001", "1_", "\u0663\u0663", "\uff13\uff13", "\t1", "1\n", "1\u00a0", "a0", "",
]  # fmt: skip
INSTANT_PARTS = [
    ["2026", "0000", "0001", "0002", "1582", "1970", "2024", "2100", "9998", "9999", "-001", "+026", "12026"],
    ["-", "/", "", "\u2212", ":", " "],
    ["01", "00", "02", "12", "13", "1"],
    ["-", "", "/", ":"],
    ["05", "00", "28", "29", "30", "31", "32"],
    ["T", "t", " ", "", "T ", "TT"],
    ["13", "00", "23", "24", "25", "99"],
    [":", "", ".", " "],
    ["02", "00", "59", "60", "99"],
    [":", "", "."],
    ["11", "00", "59", "60", "61", "99"],
    [".123", ".000", ".999", "", ".", ".1", ".12", ".1234", ".123456", ".123456789", ".1234567891", ",123", ".1e1",
     ".0 0", ".+12", ".12\t", ".-12", ".\uff11\uff12\uff13"],
    ["Z", "z", "", "+00:00", "-00:00", "+00:45", "-01:12", "+09:00", "+23:59", "-23:59", "+24:00", "+0900",
     "+09", " Z", "Z ", "ZZ", "UTC"],
]  # fmt: skip
INSTANTS = st.one_of(
    instants(),
    instants(),
    instants(),
    st.sampled_from(["infinity", "-infinity", "epoch", "now", "today", "2026-01-05", "294247-01-10T04:00:54.775Z",
                     "2026-01-05T13:02:11.123Z (BC)", "2026-01-05 (BC)T13:02:11Z", "____-__-__T__:__:__.___Z"]),
)  # fmt: skip
WHOLES = st.one_of(
    st.sampled_from([-721, -720, -1, 0, 1, 59, 60, 840, 841, 3600, 3601]).map(str),
    st.sampled_from([8, 15, 16, 31, 32, 53, 63, 64, 127, 128]).flatmap(
        lambda bits: st.sampled_from([2**bits - 1, 2**bits, 2**bits + 1, 2**bits + 60, -(2**bits), -(2**bits) - 1])
    ).map(str),
    st.sampled_from(["-0", "0.0", "60.0", "6e1", "6E+1", "600e-1", "1e400", "060", "+60", "0x3c", "60 ", " 60", "6_0",
                     "٦٠", "true", "null", '"60"', "[60]", '{"60":60}', "60.", ".6", "--60", "NaN", "inf", "", "60,1",
                     "9" * 40]),
)  # fmt: skip
CHARACTERS = st.sampled_from('aé한\u0301\U0001f600\ud83d\udc00\x00\x1f\x7f\u0085\u2028\ufeff"\\/ #') | st.characters()
TEXTS = st.one_of(
    st.lists(CHARACTERS, max_size=4).map("".join),
    st.tuples(CHARACTERS, st.sampled_from([1, 63, 64, 65, 127, 128, 129])).map(lambda one: one[0] * one[1]),
).flatmap(lambda text: st.booleans().map(lambda plain: _as_json(text, plain=plain)))
TAGS = st.lists(
    st.sampled_from(["ko", "KO", "en", "x", "X", "i", "Latn", "LATN", "kr", "KR", "419", "1901", "1abc", "u", "ca",
                     "oed", "klingon", "min", "nan", "zh", "GB", "", "é", "k", "variant1", "ninechars", "_", " "]),
    max_size=5,
).map("-".join).map(json.dumps)  # fmt: skip
SHORT = st.text(st.sampled_from("KRkr1-_ é\u212a\n"), max_size=3).map(json.dumps)
ODD_VALUES: dict[str, st.SearchStrategy[str]] = {
    "event_id": TEXTS | WHOLES,
    "received_at": INSTANTS.map(lambda text: json.dumps(text, ensure_ascii=False)) | WHOLES,
    "user_id": TEXTS | WHOLES,
    "episode_id": WHOLES,
    "country": SHORT | TEXTS,
    "utc_offset_minutes": WHOLES,
    "language": TAGS | TEXTS | WHOLES,
    "device": SHORT | TEXTS,
    "watched_seconds": WHOLES,
}


def _as_json(text: str, *, plain: bool) -> str:
    """Write a text in JSON, where possible without escapes."""
    alone = any("\ud800" <= one < "\ue000" for one in text)
    return json.dumps(text, ensure_ascii=alone or not plain)


@st.composite
def odd_lines(draw: st.DrawFn) -> bytes:
    """Generate a line of a play event with an odd value in one or two fields."""
    usual = play()
    values = {name: json.dumps(value) for name, value in (usual | usual.pop("event")).items()}
    for name in draw(
        st.sampled_from([["received_at"], ["received_at"], ["language"], *([name] for name in values), [*values][:2]])
    ):
        values[name] = draw(ODD_VALUES[name])
    one = {name: f'"{name}":{value}' for name, value in values.items()}
    event = ",".join(text for name, text in one.items() if name not in usual)
    return f'{{{one["event_id"]},{one["received_at"]},"event":{{{event}}}}}'.encode().replace(b"\n", b"")


def test_query_and_reference_parser_agree_on_each_odd_part_of_an_instant() -> None:
    """Of a usual instant, one part at a time is replaced by everything odd, such as the hour 24."""
    parts = [choices + NO_DIGITS * (at % 2 == 0) for at, choices in enumerate(INSTANT_PARTS)]
    texts = ["".join([*base[:at], odd, *base[at + 1 :]]) for base in BASES for at in range(13) for odd in parts[at]]
    raws = [to_line(play(received_at=text)) for text in texts]
    with tempfile.TemporaryDirectory() as folder:
        found = split(Path(folder), *raws, window=EVER)
        with mock.patch.object(parsing, "FAST_REJECTS", 1):
            assert split(Path(folder), *raws, window=EVER) == found
    assert found == validated(*raws, window=EVER)
    assert len(found[0]) > 100


@settings(max_examples=60)
@given(st.lists(odd_lines(), min_size=20, max_size=100), st.sampled_from([EVER, HOUR]), st.sampled_from([1, 1000]))
def test_query_and_reference_parser_agree_on_odd_values(raws: list[bytes], window: Window, fast_rejects: int) -> None:
    """What the queries are sure of, the reference parser judges alike: instants, numbers, texts, tags."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(parsing, "FAST_REJECTS", fast_rejects):
        assert split(Path(folder), *raws, window=window) == validated(*raws, window=window)


@settings(max_examples=12)
@given(st.lists(plays, min_size=1, max_size=12), st.randoms(use_true_random=False), st.booleans())
def test_order_and_files_make_no_difference(records: list[dict[str, Any]], random: Any, compressed: bool) -> None:
    """The same lines in another order and other files give the same counts and, except for rejects, the same bytes."""
    raws = [to_line(record) for record in records]
    shuffled = random.sample(raws, len(raws))
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        worlds = [new_world(Path(folder), reject_share=1, allow_no_plays=True, buckets=1) for folder in (one, other)]
        worlds[0].put("plays.json", *raws)
        for number in range(3):
            worlds[1].put(f"plays+{number}.json" + ".gz" * compressed, *shuffled[number::3])
        with mock.patch.object(stage, "MIB", 0):
            digests = [_run(world) for world in worlds]
    assert digests[0] == digests[1]


def _run(world: World) -> tuple[dict[str, str], Any]:
    world.run()
    kept = {name: digest for name, digest in world.digests().items() if name != "rejects.parquet"}
    return kept, world.rolled().counts

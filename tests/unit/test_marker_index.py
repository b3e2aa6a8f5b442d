"""The index of markers: what it spares, and that no state of it changes an answer."""

import dataclasses
import json
import zlib
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marquee.calendar import Period, hour
from marquee.errors import ConfigError, TryAgainError
from marquee.lake import marker_index
from marquee.lake import markers as markers_module
from marquee.lake.garbage import plan_garbage
from marquee.lake.keys import failed_key, index_key, run_prefix, success_key
from marquee.lake.manifest import Failure, Input, Marker, Output, digest_inputs
from marquee.lake.markers import Markers, publish
from marquee.storage.base import Store
from tests.sample_stages import START, WORDS

INDEX = index_key("words")
HOURS = [hour(f"2026-01-05T{number:02}") for number in (10, 11, 12)]
FAILED = hour("2026-01-05T13")


def marker(period: Period, run_id: str = "r1", generation: int = 1) -> Marker:
    """Return a marker of an hour with one input and two outputs, one of them of an earlier run."""
    inputs, parameters = (Input(f"raw/{period}", "e1", 10),), {"threshold": 0.01, "languages": ["ko", "日本語"]}
    return Marker(
        stage="words",
        period=str(period),
        generation=generation,
        run_id=run_id,
        code_version="0.1.0",
        definition_version="1",
        parameters=parameters,
        inputs=inputs,
        inputs_digest=digest_inputs(inputs, parameters, "1"),
        outputs=(
            Output("words", f"{run_prefix('words', period, run_id)}words.parquet", 6, "a" * 64, 3),
            Output("initials", f"{run_prefix('words', period, 'r0')}initials.parquet", 5, "b" * 64, 1),
        ),
        counts={"rows_in": 5, "rejects": {"no json": 1}},
        started_at="2026-01-07T12:00:01.000+00:00",
        finished_at="2026-01-07T12:00:02.000+00:00",
        cpu_seconds=0.25,
    )


@pytest.fixture(autouse=True)
def _always_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the index after a single read, and trust it at once; it may have 10,000 bytes."""
    monkeypatch.setattr(markers_module, "WORTH", 1)
    monkeypatch.setattr(marker_index, "STEP_NS", -(10**15))
    monkeypatch.setattr(marker_index, "MOST_BYTES", 10_000)


@pytest.fixture
def words(store: Store) -> Store:
    """A store with three markers and a failure of the stage words, and their index."""
    for period in HOURS:
        publish(store, marker(period), None)
    failure = Failure("words", str(FAILED), "r1", 1, "bad input", 65, "why\tand where", START.isoformat())
    store.put(failed_key("words", FAILED), failure.to_json())
    Markers(store, writes_index=True).of("words")
    return store


@pytest.fixture
def reads(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the markers that are read, in no order."""
    keys: list[str] = []
    real = type(store).get_version

    def get_version(self: Store, key: str) -> tuple[bytes, str]:
        keys.extend([key] if key != INDEX else [])
        return real(self, key)

    monkeypatch.setattr(type(store), "get_version", get_version)
    return keys


def answers(markers: Markers) -> object:
    """Return all that markers say of the stage words."""
    made = markers.of("words")
    return (
        {period: [getattr(one, field.name) for field in dataclasses.fields(one)] for period, one in made.items()},
        [(one.datasets, one.other_runs, one.to_json()) for one in made.values()],
        markers.failures("words"),
        markers.damaged("words"),
    )


def test_index_spares_reading_the_markers(words: Store, reads: list[str]) -> None:
    """What planning compares is read from the index: settings, digests of inputs and datasets, counts and times."""
    made, failed = Markers(words).of("words"), Markers(words).failures("words")
    assert list(made) == HOURS
    one = made[HOURS[0]]
    assert (one.run_id, one.generation, one.definition_version) == ("r1", 1, "1")
    assert (one.is_made_by(marker(HOURS[0]).parameters, "1"), one.is_made_by({}, "1")) == (True, False)
    assert one.as_input(WORDS) == marker(HOURS[0]).as_input(WORDS)
    assert (one.counts, one.started_at, one.cpu_seconds) == (
        {"rows_in": 5, "rejects": {"no json": 1}},
        "2026-01-07T12:00:01.000+00:00",
        0.25,
    )
    assert (one.other_runs, failed[FAILED].reason) == (("r0",), "why\tand where")
    assert reads == []


def test_inputs_and_outputs_are_read_from_the_marker(words: Store, reads: list[str]) -> None:
    """Inputs and outputs, which the index lacks, are those of the marker; some later ones are read in the same go."""
    made = Markers(words).of("words")
    assert made[HOURS[1]].inputs == (Input("raw/2026-01-05T11", "e1", 10),)
    assert made[HOURS[2]].outputs == marker(HOURS[2]).outputs
    assert sorted(reads) == [success_key("words", period) for period in HOURS[1:]]


def _lines(change: Callable[[list[str]], list[str]]) -> Callable[[bytes], bytes]:
    def changed(data: bytes) -> bytes:
        return zlib.compress("\n".join(change(zlib.decompress(data).decode().split("\n"))).encode())

    return changed


FAULTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "torn": lambda data: data[:-9],
    "followed by more": lambda data: data + b"x",
    "not compressed": zlib.decompress,
    "of another format": _lines(lambda lines: ["marquee markers 0", *lines[1:]]),
    "not text": lambda _: zlib.compress(b"marquee markers 1\n[]\n\xff"),
    "without kinds": _lines(lambda lines: [lines[0], "[]", *lines[2:]]),
    "kinds of another form": _lines(lambda lines: [lines[0], '[[1, "1", "1"]]', *lines[2:]]),
    "kinds are nested deeply": _lines(lambda lines: [lines[0], "[" * 100_000, *lines[2:]]),
    "without lines": _lines(lambda lines: lines[:2]),
    "half of each line": _lines(lambda lines: [*lines[:2], *(one[: len(one) // 2] for one in lines[2:])]),
    "without the last value": _lines(lambda lines: [*lines[:2], *(one.rpartition("\t")[0] for one in lines[2:])]),
    "datasets and counts are no JSON": _lines(
        lambda lines: [*lines[:2], *(one.replace("{", "[") for one in lines[2:])]
    ),
    "numbers are texts": _lines(lambda lines: [*lines[:2], *(one.replace(": [", ': ["1",') for one in lines[2:])]),
    "time of change is no number": _lines(lambda lines: [*lines[:2], "2026-01-05T10/_SUCCESS\tv\tx\t"]),
    "lines of other objects": _lines(lambda lines: [*lines[:2], *(f"x{one}" for one in lines[2:])]),
    "lines of other versions": _lines(lambda lines: [*lines[:2], *(one.replace("\t", "\tx", 1) for one in lines[2:])]),
    "larger than allowed": lambda _: zlib.compress(bytes(10_001)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_index_changes_no_answer(words: Store, fault: str) -> None:
    """Whatever the index contains instead of what was written, the markers say what they say without it."""
    words.put(INDEX, FAULTS[fault](words.get(INDEX)))
    assert answers(Markers(words)) == answers(Markers(words, indexed=False))


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_flipped_bytes_change_no_answer(words: Store, data: st.DataObject) -> None:
    """An index with any wrong bytes is ignored."""
    whole = words.get(INDEX)
    at = data.draw(st.integers(0, len(whole) - 1))
    words.put(INDEX, whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :])
    assert answers(Markers(words)) == answers(Markers(words, indexed=False))
    words.put(INDEX, whole)


def test_lost_index_is_written_again(words: Store, reads: list[str]) -> None:
    """Without an index, all markers are read once by a process that writes it, and none afterwards."""
    before = words.get(INDEX)
    words.delete(INDEX)
    Markers(words, writes_index=True).of("words")
    assert len(reads) == 4
    Markers(words).of("words")
    assert (len(reads), words.get(INDEX)) == (4, before)


def test_listing_decides(words: Store, reads: list[str]) -> None:
    """Of a stale index, only the lines of unchanged markers count: a new, a changed and a deleted one are seen."""
    published = Markers(words).of("words")
    publish(words, marker(HOURS[0], "r2", 2), published[HOURS[0]])
    words.delete(success_key("words", HOURS[1]))
    publish(words, marker(FAILED, "r2"), None)
    reads.clear()
    made = Markers(words).of("words")
    assert {str(period): (one.run_id, one.generation) for period, one in made.items()} == {
        "2026-01-05T10": ("r2", 2),
        "2026-01-05T12": ("r1", 1),
        "2026-01-05T13": ("r2", 1),
    }
    assert sorted(reads) == [success_key("words", HOURS[0]), success_key("words", FAILED)]


def test_second_index_of_two_writers_is_complete(words: Store, reads: list[str]) -> None:
    """Of two processes that write the index, the last one wins, and it has what both of them have published."""
    one, other = Markers(words, writes_index=True), Markers(words, writes_index=True)
    for each in (one, other):
        each.refresh("words")
    publish(words, marker(FAILED, "r2"), None)
    for each in (one, other):
        each.refresh("words")
    reads.clear()
    assert len(Markers(words).of("words")) == 4
    assert reads == []


def test_marker_of_the_moment_is_not_trusted(words: Store, reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder, a marker that changed within two seconds before its index may have changed again, and is read."""
    monkeypatch.setattr(marker_index, "STEP_NS", 2 * 10**9)
    in_folder = any(info.changed_ns for info in words.list())
    assert len(Markers(words).of("words")) == 3
    assert len(reads) == (4 if in_folder else 0)


def test_marker_replaced_since_the_listing_is_no_other_run(words: Store) -> None:
    """Inputs of a run are not taken from the marker of a later run, which may be published after the listing."""
    (first, *_) = Markers(words).of("words").values()
    publish(words, marker(HOURS[0], "r2", 2), first)
    with pytest.raises(TryAgainError, match=r"_SUCCESS was replaced by run r2 while it was read\. Run again"):
        _ = first.inputs


def test_reader_writes_no_index(store: Store) -> None:
    """A process that only reads leaves the lake as it is, however many markers it reads."""
    publish(store, marker(HOURS[0]), None)
    Markers(store).of("words")
    assert store.head(INDEX) is None


def test_few_markers_are_not_worth_an_index(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process writes the index after so many reads that another process would notice them."""
    monkeypatch.setattr(markers_module, "WORTH", 2)
    for period, there in ((HOURS[0], False), (HOURS[1], True)):
        publish(store, marker(period), None)
        Markers(store, writes_index=True).of("words")
        assert (store.head(INDEX) is not None) is there


def test_store_that_refuses_the_index_is_no_error(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the right to write the index, a run says so once and continues."""
    publish(store, marker(HOURS[0]), None)

    def refuse(*_: object, **__: object) -> None:
        message = "no"
        raise ConfigError(message)

    monkeypatch.setattr(type(store), "put", refuse)
    markers = Markers(store, writes_index=True)
    for _ in range(2):
        assert len(markers.of("words")) == 1
        markers.forget("words")
    assert caplog.messages == ["cannot write the index of markers: no"]


def test_marker_with_another_digest_is_always_read(store: Store, reads: list[str]) -> None:
    """A marker whose inputs are not those of its digest stays out of the index: planning must see both."""
    publish(store, dataclasses.replace(marker(HOURS[0]), inputs=()), None)
    Markers(store, writes_index=True).of("words")
    reads.clear()
    (one,) = Markers(store).of("words").values()
    assert (one.inputs, len(reads)) == ((), 1)


def test_long_counts_stay_in_the_marker(store: Store, reads: list[str]) -> None:
    """Counts longer than 4 kB, of a topic with many partitions, are not in the index."""
    many = {"offsets": {f"plays+{number}": {"ranges": [[0, number, 1]]} for number in range(200)}}
    publish(store, dataclasses.replace(marker(HOURS[0]), counts=many), None)
    Markers(store, writes_index=True).of("words")
    reads.clear()
    (one,) = Markers(store).of("words").values()
    assert (one.started_at, reads) == ("2026-01-07T12:00:01.000+00:00", [])
    assert (one.counts, len(reads)) == (many, 1)


def test_index_is_no_garbage(words: Store) -> None:
    """The index is never garbage, and an earlier run that has an output of a marker is none either."""
    words.put(f"{run_prefix('words', HOURS[0], '20260101T000000000000-0')}words.parquet", b"old")
    words.put(f"{run_prefix('words', HOURS[0], 'r0')}initials.parquet", b"used")
    plan = plan_garbage(words, Markers(words), START + timedelta(days=30))
    assert [one.prefix for one in plan] == ["data/words/2026-01-05T10/run=20260101T000000000000-0/"]


def test_index_has_no_inputs_or_outputs(words: Store) -> None:
    """The index is compact: three markers take one line each, with neither keys of raw objects nor checksums."""
    form, kinds, *lines = zlib.decompress(words.get(INDEX)).decode().split("\n")
    assert (form, len(json.loads(kinds)), len(lines)) == ("marquee markers 1", 1, 4)
    assert "raw/" not in "".join(lines)

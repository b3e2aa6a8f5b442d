"""Markers: their contents, how one is published, and how damage is detected."""

import dataclasses
import json
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marquee.calendar import hour
from marquee.errors import BadInputError, CorruptLakeError, LostRaceError, NewerLakeError
from marquee.lake import manifest
from marquee.lake import markers as markers_module
from marquee.lake.files import fetch_output, read_bytes, verify_output, write_bytes, write_output
from marquee.lake.keys import failed_key, run_prefix, success_key
from marquee.lake.manifest import Failure, Input, Marker, Output, digest_inputs
from marquee.lake.markers import Markers, failure_of, publish, read_marker
from marquee.storage.base import ObjectInfo, PreconditionError, Store
from marquee.storage.local import LocalStore
from tests.sample_stages import INITIALS, SECRET, START, WORDS

HOUR = hour("2026-01-05T13")
KEY = success_key("words", HOUR)
AA, BB, CC, DD = (letter * 64 for letter in "abcd")
"""Checksums."""


def marker(run_id: str = "r1", generation: int = 1, **more: object) -> Marker:
    """Return a marker of the hour with two datasets, one of them in two buckets."""
    prefix = run_prefix("words", HOUR, run_id)
    fields: dict[str, object] = {
        "stage": "words",
        "period": str(HOUR),
        "generation": generation,
        "run_id": run_id,
        "code_version": "0.1.0",
        "definition_version": "1",
        "parameters": {"threshold": 0.01, "languages": ["ko", "日本語"]},
        "inputs": (Input("raw/file", "e1", 10),),
        "inputs_digest": "d1",
        "outputs": (
            Output("words", f"{prefix}words/bucket=0001.parquet", 6, BB, 3),
            Output("words", f"{prefix}words/bucket=0000.parquet", 4, AA, 2),
            Output("initials", f"{prefix}initials.parquet", 5, CC, 1),
        ),
        "counts": {"rows_in": 5, "rejects": {"no json": 1}},
        "started_at": "2026-01-07T12:00:01.000+00:00",
        "finished_at": "2026-01-07T12:00:02.000+00:00",
    }
    return Marker(**(fields | more))  # type: ignore[arg-type]


FAILED = {
    "stage": "words",
    "period": str(HOUR),
    "run_id": "r1",
    "generation": 1,
    "kind": "bad input",
    "exit_code": 65,
    "reason": "why",
    "failed_at": "2026-01-07T12:00:00.000+00:00",
}

# The contents of a marker.


@pytest.mark.parametrize(
    "changes", [{}, {"inputs": (), "outputs": ()}, {"inputs": (Input('a"\\\n "inputs": []\x7f日', "é", 2**53),) * 2}]
)
def test_bytes_of_a_marker_are_those_of_json_with_an_indent(changes: dict[str, object]) -> None:
    """A marker has the bytes that the standard encoder gives, with sorted names and one blank for each level."""
    one = dataclasses.replace(marker(parameters={"inputs": [], "outputs": []}), **changes)  # type: ignore[arg-type]
    fields = dataclasses.asdict(one)
    del fields["etag"]
    assert one.to_json() == json.dumps(fields, indent=1, sort_keys=True, ensure_ascii=False).encode()


def test_marker_is_read_back(store: Store) -> None:
    """A published marker is read back unchanged, with the etag of its object."""
    published = publish(store, marker(), None)
    read = read_marker(store, "words", HOUR)
    (info,) = store.list("markers/")
    assert read == published == marker()
    assert read is not None
    assert read.etag == published.etag == info.etag


def test_marker_is_json_for_people(lake: LocalStore) -> None:
    """A marker is readable JSON with the number of its format and without its etag, which belongs to the store."""
    publish(lake, marker(), None)
    text = lake.get(KEY).decode()
    fields = json.loads(text)
    assert "日本語" in text
    assert fields["format"] == 2
    assert fields["outputs"][2] == {
        "dataset": "initials",
        "key": "data/words/2026-01-05T13/run=r1/initials.parquet",
        "size": 5,
        "sha256": CC,
        "rows": 1,
    }
    assert "etag" not in fields


def test_outputs_are_found_by_dataset() -> None:
    """The outputs of a dataset come in the order of keys, and their rows are summed."""
    assert [one.sha256 for one in marker().of(WORDS)] == [AA, BB]
    assert (marker().rows(WORDS), marker().rows(INITIALS)) == (5, 1)


def test_same_content_is_the_same_input() -> None:
    """A marker as an input changes with the content or names of its dataset only, not with the run."""
    first = marker().as_input(WORDS)
    assert (first.name, first.size) == ("words/2026-01-05T13/words", 10)
    assert marker("r2", 2).as_input(WORDS) == first
    changed, renamed, other = ([*marker().outputs] for _ in range(3))
    changed[0] = dataclasses.replace(changed[0], sha256=DD)
    renamed[0] = dataclasses.replace(renamed[0], key=renamed[0].key.replace("0001", "0002"))
    other[2] = dataclasses.replace(other[2], sha256=DD)
    assert marker(outputs=tuple(changed)).as_input(WORDS).etag != first.etag
    assert marker(outputs=tuple(renamed)).as_input(WORDS).etag != first.etag
    assert marker(outputs=tuple(other)).as_input(WORDS).etag == first.etag


inputs = st.lists(st.builds(Input, st.text(max_size=5), st.text(max_size=5), st.integers(0, 9)), max_size=6)


@given(inputs.flatmap(lambda listed: st.tuples(st.just(listed), st.permutations(listed))))
def test_digest_does_not_depend_on_the_order_of_inputs(orders: tuple[list[Input], list[Input]]) -> None:
    """Shuffled inputs and parameters have the same digest."""
    listed, shuffled = orders
    assert digest_inputs(shuffled, {"a": 1, "b": 2}, "1") == digest_inputs(listed, {"b": 2, "a": 1}, "1")


@given(inputs, inputs)
def test_digest_tells_inputs_apart(one: list[Input], other: list[Input]) -> None:
    """Two lists of inputs have the same digest only if they are equal."""
    assert (digest_inputs(one, {}, "1") == digest_inputs(other, {}, "1")) == (Counter(one) == Counter(other))


@pytest.mark.parametrize(
    ("name", "etag", "size", "parameters", "version"),
    [
        pytest.param("b", "e", 1, {"p": 1}, "1", id="name"),
        pytest.param("a", "f", 1, {"p": 1}, "1", id="etag"),
        pytest.param("a", "e", 2, {"p": 1}, "1", id="size"),
        pytest.param("a", "e", 1, {"p": 2}, "1", id="parameter"),
        pytest.param("a", "e", 1, {"p": 1, "q": None}, "1", id="one more parameter"),
        pytest.param("a", "e", 1, {"p": 1}, "2", id="definition"),
    ],
)
def test_digest_changes_with(name: str, etag: str, size: int, parameters: dict[str, object], version: str) -> None:
    """The digest changes with each input, parameter or version that decides the result."""
    before = digest_inputs([Input("a", "e", 1)], {"p": 1}, "1")
    assert digest_inputs([Input(name, etag, size)], parameters, version) != before


# Publishing a marker.


def test_later_generation_replaces_the_earlier(store: Store) -> None:
    """A later generation replaces the marker that its run has read."""
    first = publish(store, marker(), None)
    second = publish(store, marker("r2", 2), first)
    assert read_marker(store, "words", HOUR) == second
    assert second.run_id == "r2"


@pytest.mark.parametrize("generation", [1, 2])
def test_run_that_comes_second_has_lost(store: Store, generation: int) -> None:
    """A run that publishes second loses, and the error names both runs."""
    previous = publish(store, marker("r0"), None) if generation == 2 else None
    publish(store, marker("r1", generation), previous)
    with pytest.raises(
        LostRaceError, match=f"T13: run r1, generation {generation} was published during run r2; its result"
    ):
        publish(store, marker("r2", generation), previous)
    standing = read_marker(store, "words", HOUR)
    assert standing is not None
    assert standing.run_id == "r1"


@pytest.mark.parametrize("generation", [1, 2])
def test_one_of_many_runs_at_once_is_published(lake: LocalStore, generation: int) -> None:
    """Of eight runs that publish at the same moment one wins, and the others get a lost race."""
    previous = publish(lake, marker("r0"), None) if generation == 2 else None
    barrier = threading.Barrier(8)

    def run(number: int) -> str | None:
        barrier.wait()
        try:
            return publish(lake, marker(f"r{number}", generation), previous).run_id
        except LostRaceError:
            return None

    with ThreadPoolExecutor(8) as pool:
        won = [run_id for run_id in pool.map(run, range(1, 9)) if run_id]
    standing = read_marker(lake, "words", HOUR)
    assert standing is not None
    assert won == [standing.run_id]


def test_run_whose_predecessor_was_deleted_has_lost(store: Store) -> None:
    """A run whose predecessor was deleted meanwhile loses, and the period is pending."""
    first = publish(store, marker(), None)
    store.delete(KEY)
    with pytest.raises(LostRaceError, match="another run was published during run r2"):
        publish(store, marker("r2", 2), first)
    assert read_marker(store, "words", HOUR) is None


def test_publishing_clears_the_failure(store: Store) -> None:
    """A run that is published clears the failure marker; a run that loses does not."""
    publish(store, marker(), None)
    store.put(failed_key("words", HOUR), b"{}")
    with pytest.raises(LostRaceError):
        publish(store, marker("r2"), None)
    assert store.head(failed_key("words", HOUR)) is not None
    publish(store, marker("r2", 2), read_marker(store, "words", HOUR))
    assert store.head(failed_key("words", HOUR)) is None


class LostAnswers(LocalStore):
    """A store whose conditional writes succeed and are then reported as refused, as after a retry of the client."""

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        """Write the object, then report that it existed already."""
        super().put_if_absent(key, data)
        raise PreconditionError(key)

    def put_if_unchanged(self, key: str, data: bytes, etag: str) -> ObjectInfo:
        """Write the object, then report that it has changed."""
        super().put_if_unchanged(key, data, etag)
        raise PreconditionError(key)


def test_commit_that_landed_but_was_reported_refused_is_ours(tmp_path: Path) -> None:
    """A run that finds its own id in the marker has won, although its write was reported as refused."""
    store = LostAnswers(tmp_path)
    first = publish(store, marker(), None)
    assert (first, first.etag) == (marker(), first.etag)
    second = publish(store, marker("r2", 2), first)
    assert (second, read_marker(store, "words", HOUR)) == (marker("r2", 2), second)


# Damage.


def test_marker_of_a_newer_format_is_refused_by_name(lake: LocalStore) -> None:
    """A marker of a newer format is refused with the advice to upgrade, not as damaged."""
    lake.put(KEY, marker(format=3).to_json())
    message = f"{KEY} has format 3; this version reads up to 2. .* Upgrade Marquee"
    with pytest.raises(NewerLakeError, match=message):
        read_marker(lake, "words", HOUR)
    with pytest.raises(NewerLakeError, match=message):
        Markers(lake).of("words")


def edited(**fields: object) -> bytes:
    """Return a marker of the hour with some values edited."""
    return json.dumps(json.loads(marker().to_json()) | fields).encode()


def edited_output(**fields: object) -> bytes:
    """Return a marker whose first output was edited."""
    first, *others = json.loads(marker().to_json())["outputs"]
    return edited(outputs=[first | fields, *others])


DATA = "data/words/2026-01-05T13/run=r1"
TAMPERED = [
    pytest.param(b"", id="empty"),
    pytest.param(marker().to_json()[:-9], id="cut short"),
    pytest.param(b"\xff\xfe", id="no text"),
    pytest.param(b"[1]", id="a list"),
    pytest.param(b"null", id="null"),
    pytest.param(b"[" * 100_000, id="a deep nest"),
    pytest.param(b'{"format": 1}', id="nothing in it"),
    pytest.param(b'{"format": "1"}', id="format as text"),
    pytest.param(marker().to_json().replace(b'"sha256"', b'"md5"'), id="another field in an output"),
    pytest.param(edited(format=True), id="format true"),
    pytest.param(edited(format=0), id="format 0"),
    pytest.param(edited(surprise=1), id="another field"),
    pytest.param(edited(stage="rollup"), id="another stage"),
    pytest.param(edited(period="2026-01-05T14"), id="another period"),
    pytest.param(edited(period="2026-1-5T13"), id="a period that is not canonical"),
    pytest.param(edited(generation="x"), id="generation as text"),
    pytest.param(edited(generation=0), id="generation 0"),
    pytest.param(edited(generation=10**400), id="a huge generation"),
    pytest.param(edited(run_id="../../../../etc"), id="a path as run id"),
    pytest.param(edited(run_id=""), id="no run id"),
    pytest.param(edited(parameters=[]), id="parameters as a list"),
    pytest.param(edited(inputs=[{"name": "x", "etag": "e", "size": -1}]), id="an input of negative size"),
    pytest.param(edited(inputs=[{"name": 1, "etag": "e", "size": 1}]), id="an input named by a number"),
    pytest.param(edited(outputs={}), id="outputs as an object"),
    pytest.param(edited(outputs=json.loads(marker().to_json())["outputs"][:1] * 2), id="an output twice"),
    pytest.param(edited(counts={"rows_in": "many"}), id="rows as text"),
    pytest.param(edited(counts={"rows_in": True}), id="rows true"),
    pytest.param(edited(counts={"rejects": [1, 2]}), id="rejects as a list"),
    pytest.param(edited(counts={"rejects": {"no json": "1"}}), id="rejects as text"),
    pytest.param(edited(counts={"viewers": -1}), id="a negative count"),
    pytest.param(edited(counts={"orphans": {"seconds": float("nan")}}), id="not a number"),
    pytest.param(edited(counts={"viewers": 10**30}), id="a huge count"),
    pytest.param(edited(started_at="yesterday"), id="no time"),
    pytest.param(edited(finished_at="0001-01-01"), id="a date as time"),
    pytest.param(edited(finished_at="2026-02-30T00:00:00+00:00"), id="a day that there is not"),
    pytest.param(edited(finished_at="2026-01-07T12:00:00+05:00"), id="a time not in UTC"),
    pytest.param(edited(cpu_seconds=-1.0), id="negative CPU time"),
    pytest.param(edited(cpu_seconds=float("inf")), id="infinite CPU time"),
    pytest.param(edited_output(key="../../victim.txt"), id="an output outside of the lake"),
    pytest.param(edited_output(key=KEY), id="the marker itself as an output"),
    pytest.param(edited_output(key=f"{DATA}/../x/words.parquet"), id="an output over a parent folder"),
    pytest.param(edited_output(key="data/words/2026-01-05T14/run=r1/words.parquet"), id="an output of another period"),
    pytest.param(edited_output(key="data/rollup/2026-01-05T13/run=r1/words.parquet"), id="an output of another stage"),
    pytest.param(edited_output(key=f"{DATA}/initials/bucket=0000.parquet"), id="an output of another dataset"),
    pytest.param(edited_output(key=f"{DATA}/words/bucket=one.parquet"), id="a bucket without a number"),
    pytest.param(edited_output(key=f"{DATA}/words\0.parquet"), id="NUL in a key"),
    pytest.param(edited_output(key=f"{DATA}/words{'x' * 5000}.parquet"), id="a long key"),
    pytest.param(edited_output(rows=-5), id="negative rows"),
    pytest.param(edited_output(rows=1.5), id="half a row"),
    pytest.param(edited_output(size=2**63), id="a huge size"),
    pytest.param(edited_output(sha256="A" * 64), id="a checksum in capitals"),
    pytest.param(edited_output(sha256="aa"), id="a short checksum"),
]


@pytest.mark.parametrize("data", TAMPERED)
def test_damaged_marker_is_named(lake: LocalStore, data: bytes) -> None:
    """A damaged marker is the failure of its period, which names the object and what to do, and hides no other."""
    lake.put(success_key("words", HOUR.next()), edited(period=str(HOUR.next()), outputs=[]))
    lake.put(KEY, data)
    markers = Markers(lake)
    assert list(markers.of("words")) == [HOUR.next()]
    (failed,) = markers.failures("words").values()
    assert (failed.period, failed.exit_code, list(markers.damaged("words"))) == (str(HOUR), 70, [HOUR])
    assert failed.reason.startswith(f"{KEY} is not a valid marker: ")
    assert "make its period again with --force" in failed.reason
    assert "\n" not in failed.reason
    assert len(failed.reason) < 1000
    with pytest.raises(CorruptLakeError, match="is not a valid marker"):
        read_marker(lake, "words", HOUR)


def test_huge_marker_is_not_read(lake: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A marker that is larger than any run writes is damaged, and is not read into memory."""
    monkeypatch.setattr(markers_module, "MARKER_BYTES", 2000)
    monkeypatch.setattr(manifest, "MARKER_BYTES", 2000)
    lake.put(KEY, edited(inputs=[{"name": "x" * 100, "etag": "e", "size": 1}] * 100))
    monkeypatch.setattr(LocalStore, "get_version", None)
    assert "at most 2000" in Markers(lake).failures("words")[HOUR].reason
    with pytest.raises(BadInputError, match=r"the marker would have .* bytes for 1 inputs; at most 2000 are allowed"):
        publish(lake, marker(parameters={"x": "y" * 2000}), None)


def test_output_of_an_earlier_run_of_the_period_is_valid(lake: LocalStore) -> None:
    """A marker may list an unchanged output in the prefix of an earlier run of the same period."""
    outputs = marker("r1").outputs
    publish(lake, marker("r2", 2, outputs=outputs), None)
    assert Markers(lake).of("words")[HOUR].outputs == outputs


def test_folder_of_another_grain_is_no_period(lake: LocalStore) -> None:
    """A day among the hours of the rollup is not a period, as a folder with another name is not."""
    lake.put("markers/rollup/2026-01-05/_SUCCESS", edited(stage="rollup", period="2026-01-05", outputs=[]))
    assert (Markers(lake).of("rollup"), Markers(lake).failures("rollup")) == ({}, {})


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"reason": ', id="cut short"),
        pytest.param(b"{}", id="nothing in it"),
        pytest.param(json.dumps({**FAILED, "generation": "1"}).encode(), id="generation as text"),
        pytest.param(json.dumps({**FAILED, "exit_code": 0}).encode(), id="exit code 0"),
        pytest.param(json.dumps({**FAILED, "period": "2026-01-05T14"}).encode(), id="another period"),
        pytest.param(json.dumps({**FAILED, "failed_at": "never"}).encode(), id="no time"),
        pytest.param(json.dumps({**FAILED, "surprise": 1}).encode(), id="another field"),
    ],
)
@pytest.mark.parametrize("done", [False, True])
def test_damaged_failure_marker_is_named(lake: LocalStore, data: bytes, done: bool) -> None:
    """A damaged failure marker is a failure in force, which names the object; garbage collection keeps it."""
    if done:
        publish(lake, marker(), None)
    lake.put(failed_key("words", HOUR), data)
    failed = Markers(lake).failures("words")[HOUR]
    assert failed.reason.startswith("markers/words/2026-01-05T13/_FAILED is not a valid failure marker: ")
    assert (failed.exit_code, Markers(lake).settled("words")) == (70, {})


@pytest.fixture
def output(lake: LocalStore) -> Output:
    """An object of five bytes that a run wrote."""
    return write_bytes(lake, "data/words/2026-01-05T13/run=r1/words.parquet", "words", b"12345", 1)


Reader = Callable[[LocalStore, Output, Path], object]
READERS = [
    pytest.param(lambda store, output, _: read_bytes(store, output), id="read"),
    pytest.param(fetch_output, id="fetch"),
]


def test_object_has_size_and_checksum(lake: LocalStore, output: Output, tmp_path: Path) -> None:
    """An object has its size and the SHA-256 that sha256sum prints for '12345'."""
    assert output.sha256 == "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"
    assert (output.size, output.rows) == (5, 1)
    assert read_bytes(lake, output) == b"12345"
    assert fetch_output(lake, output, tmp_path).read_bytes() == b"12345"


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("data", [pytest.param(b"123", id="cut short"), pytest.param(b"12346", id="changed")])
def test_damaged_object_is_named(lake: LocalStore, output: Output, tmp_path: Path, read: Reader, data: bytes) -> None:
    """A damaged object is an error with its key, the expected and the found content, and what to do."""
    lake.put(output.key, data)
    with pytest.raises(CorruptLakeError) as caught:
        read(lake, output, tmp_path)
    message = str(caught.value)
    assert f"{output.key} is damaged: expected 5 bytes with SHA-256 5994471abb" in message
    assert f"found {len(data)} bytes with " in message
    assert "make its period again with --force; `marquee verify` has the commands" in message


@pytest.mark.parametrize("read", READERS)
def test_missing_object_is_damage(lake: LocalStore, output: Output, tmp_path: Path, read: Reader) -> None:
    """A missing object that a manifest lists is damage of the lake."""
    lake.delete(output.key)
    with pytest.raises(CorruptLakeError, match=f"{output.key} is missing, but its manifest lists it"):
        read(lake, output, tmp_path)


def test_object_is_verified_without_a_copy_left(store: Store, tmp_path: Path) -> None:
    """An object is verified by its bytes and the rows of its Parquet, and no copy of it remains."""
    rows = pa.table({"word": ["a", "b"], "times": [1, 2]})
    output = write_output(store, run_prefix("words", HOUR, "r1"), WORDS, rows)
    text = write_bytes(store, f"{run_prefix('words', HOUR, 'r1')}payload/web.json", "payload", b"[]", 3)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for one in (output, text):  # the rows of what is not Parquet are not counted
        verify_output(store, one, scratch)
    with pytest.raises(CorruptLakeError, match="expected 3 rows, as its manifest says, found 2"):
        verify_output(store, dataclasses.replace(output, rows=3), scratch)
    other = write_bytes(store, output.key, "words", b"no Parquet", 2)
    with pytest.raises(CorruptLakeError, match="it is not a Parquet file"):
        verify_output(store, other, scratch)
    assert store.get(output.key) == b"no Parquet"
    with pytest.raises(CorruptLakeError, match="is damaged: expected"):
        verify_output(store, output, scratch)
    assert list(scratch.iterdir()) == []


# Failures, and the markers as one process sees them.


def failure(generation: int = 1) -> Failure:
    """Return a failure of the hour."""
    return failure_of(BadInputError("5% rejects"), "words", HOUR, "r1", generation, START)


def test_known_error_tells_its_reason() -> None:
    """A failure marker has the text of an error of Marquee, which is written for people."""
    assert failure(3) == Failure(
        "words", str(HOUR), "r1", 3, "bad input", 65, "5% rejects", "2026-01-07T12:00:00.000+00:00"
    )
    assert Failure.from_json(failure().to_json(), failed_key("words", HOUR)) == failure()


def test_unknown_error_tells_its_class_alone() -> None:
    """A failure marker has only the class of an unknown error, because its text may contain data."""
    failed = failure_of(KeyError(SECRET), "words", HOUR, "r1", 1, START)
    assert (failed.kind, failed.exit_code) == ("internal", 70)
    assert failed.reason == "builtins.KeyError at an unknown place. Set MARQUEE_LOG__LEVEL=debug for the traceback"


@pytest.mark.parametrize(
    ("generation", "in_force"),
    [pytest.param(1, False, id="settled by its generation"), pytest.param(2, True, id="a restatement that failed")],
)
def test_success_settles_failures_of_its_generation(lake: LocalStore, generation: int, in_force: bool) -> None:
    """The success of a generation settles failures of the same generation, but not of a later one."""
    publish(lake, marker(), None)
    lake.put(failed_key("words", HOUR), failure(generation).to_json())
    markers = Markers(lake)
    assert (HOUR in markers.failures("words"), HOUR in markers.settled("words")) == (in_force, not in_force)


def test_failure_cleared_during_the_listing_is_no_error(lake: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure that another run clears between listing and reading is not an error."""
    lake.put(failed_key("words", HOUR), failure().to_json())
    get = LocalStore.get_version

    def cleared(store: LocalStore, key: str) -> tuple[bytes, str]:
        store.delete(key)
        return get(store, key)

    monkeypatch.setattr(LocalStore, "get_version", cleared)
    assert Markers(lake).failures("words") == {}

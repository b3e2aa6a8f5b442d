"""Markers: what they hold, how one comes to stand, and how damage is found."""

import dataclasses
import json
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marquee.calendar import hour
from marquee.errors import BadInputError, CorruptLakeError, LostRaceError
from marquee.lake.files import fetch_output, read_bytes, write_bytes
from marquee.lake.keys import failed_key, run_prefix, success_key
from marquee.lake.manifest import Failure, Input, Marker, Output, digest_inputs
from marquee.lake.markers import Markers, failure_of, publish, read_marker
from marquee.storage.base import ObjectInfo, PreconditionError, Store
from marquee.storage.local import LocalStore
from tests.sample_stages import INITIALS, SECRET, START, WORDS

HOUR = hour("2026-01-05T13")
KEY = success_key("words", HOUR)


def marker(run_id: str = "r1", generation: int = 1, **more: object) -> Marker:
    """Return a marker of the hour, with two outputs, of which one is a bucket."""
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
            Output("words", f"{prefix}words/bucket=0001.parquet", 6, "bb", 3),
            Output("words", f"{prefix}words/bucket=0000.parquet", 4, "aa", 2),
            Output("initials", f"{prefix}initials.parquet", 5, "cc", 1),
        ),
        "counts": {"rows_in": 5, "rejects": {"no json": 1}},
        "started_at": "2026-01-07T12:00:01.000+00:00",
        "finished_at": "2026-01-07T12:00:02.000+00:00",
    }
    return Marker(**(fields | more))  # type: ignore[arg-type]


# What a marker holds.


def test_marker_is_read_back(store: Store) -> None:
    """What is published is what is read, with the etag of the object."""
    published = publish(store, marker(), None)
    read = read_marker(store, "words", HOUR)
    (info,) = store.list("markers/")
    assert read == published == marker()
    assert read is not None
    assert read.etag == published.etag == info.etag


def test_marker_is_json_for_people(lake: LocalStore) -> None:
    """It is readable text, with the format's number and without the etag, which is the store's."""
    publish(lake, marker(), None)
    text = lake.get(KEY).decode()
    fields = json.loads(text)
    assert "日本語" in text
    assert fields["format"] == 2
    assert fields["outputs"][2] == {
        "dataset": "initials",
        "key": "data/words/2026-01-05T13/run=r1/initials.parquet",
        "size": 5,
        "sha256": "cc",
        "rows": 1,
    }
    assert "etag" not in fields


def test_outputs_are_found_by_dataset() -> None:
    """In the order of keys, with the rows added up."""
    assert [one.sha256 for one in marker().of(WORDS)] == ["aa", "bb"]
    assert (marker().rows(WORDS), marker().rows(INITIALS)) == (5, 1)


def test_same_content_is_the_same_input() -> None:
    """An input downstream does not change with the run, nor with another dataset; it does with content or name."""
    first = marker().as_input(WORDS)
    assert (first.name, first.size) == ("words/2026-01-05T13/words", 10)
    assert marker("r2", 2).as_input(WORDS) == first
    changed, renamed, other = ([*marker().outputs] for _ in range(3))
    changed[0] = dataclasses.replace(changed[0], sha256="dd")
    renamed[0] = dataclasses.replace(renamed[0], key=renamed[0].key.replace("0001", "0002"))
    other[2] = dataclasses.replace(other[2], sha256="dd")
    assert marker(outputs=tuple(changed)).as_input(WORDS).etag != first.etag
    assert marker(outputs=tuple(renamed)).as_input(WORDS).etag != first.etag
    assert marker(outputs=tuple(other)).as_input(WORDS).etag == first.etag


inputs = st.lists(st.builds(Input, st.text(max_size=5), st.text(max_size=5), st.integers(0, 9)), max_size=6)


@given(inputs.flatmap(lambda listed: st.tuples(st.just(listed), st.permutations(listed))))
def test_digest_does_not_depend_on_the_order_of_inputs(orders: tuple[list[Input], list[Input]]) -> None:
    """Shuffled inputs have the same digest."""
    listed, shuffled = orders
    assert digest_inputs(shuffled, {"a": 1, "b": 2}, "1") == digest_inputs(listed, {"b": 2, "a": 1}, "1")


@given(inputs, inputs)
def test_digest_tells_inputs_apart(one: list[Input], other: list[Input]) -> None:
    """Equal digests are equal inputs."""
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
    """Each thing that decides the result decides the digest."""
    before = digest_inputs([Input("a", "e", 1)], {"p": 1}, "1")
    assert digest_inputs([Input(name, etag, size)], parameters, version) != before


# How a marker comes to stand.


def test_later_generation_replaces_the_earlier(store: Store) -> None:
    """Published over the marker that it knew, the new one stands."""
    first = publish(store, marker(), None)
    second = publish(store, marker("r2", 2), first)
    assert read_marker(store, "words", HOUR) == second
    assert second.run_id == "r2"


@pytest.mark.parametrize("generation", [1, 2])
def test_run_that_comes_second_has_lost(store: Store, generation: int) -> None:
    """The winner's marker stands; the error names it and the loser."""
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
    """Of 8 at a barrier exactly one stands, the others know that they have lost."""
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
    """Somebody deleted the marker meanwhile: the run does not stand, and the period is pending."""
    first = publish(store, marker(), None)
    store.delete(KEY)
    with pytest.raises(LostRaceError, match="another run was published during run r2"):
        publish(store, marker("r2", 2), first)
    assert read_marker(store, "words", HOUR) is None


def test_publishing_clears_the_failure(store: Store) -> None:
    """The failure marker goes when a run stands, not when it loses."""
    publish(store, marker(), None)
    store.put(failed_key("words", HOUR), b"{}")
    with pytest.raises(LostRaceError):
        publish(store, marker("r2"), None)
    assert store.head(failed_key("words", HOUR)) is not None
    publish(store, marker("r2", 2), read_marker(store, "words", HOUR))
    assert store.head(failed_key("words", HOUR)) is None


class LostAnswers(LocalStore):
    """Conditional writes land, and are then reported as refused: a client's own retry finds its first try there."""

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        """Write, then say that it was there already."""
        super().put_if_absent(key, data)
        raise PreconditionError(key)

    def put_if_unchanged(self, key: str, data: bytes, etag: str) -> ObjectInfo:
        """Write, then say that it has changed."""
        super().put_if_unchanged(key, data, etag)
        raise PreconditionError(key)


def test_commit_that_landed_but_was_reported_refused_is_ours(tmp_path: Path) -> None:
    """The run finds its own id in the marker: it has won, with the etag by which it can be replaced."""
    store = LostAnswers(tmp_path)
    first = publish(store, marker(), None)
    assert (first, first.etag) == (marker(), first.etag)
    second = publish(store, marker("r2", 2), first)
    assert (second, read_marker(store, "words", HOUR)) == (marker("r2", 2), second)


# Damage.


def test_marker_of_a_newer_format_is_refused_by_name(lake: LocalStore) -> None:
    """A later version's marker is not taken for damage: the message says to upgrade."""
    lake.put(KEY, marker(format=3).to_json())
    message = f"{KEY} has format 3; this version reads up to 2. Upgrade Marquee"
    with pytest.raises(CorruptLakeError, match=message):
        read_marker(lake, "words", HOUR)
    with pytest.raises(CorruptLakeError, match=message):
        Markers(lake).of("words")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(marker().to_json()[:-9], id="cut short"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"format": 1}', id="nothing in it"),
        pytest.param(b'{"format": "1"}', id="format as text"),
        pytest.param(marker().to_json().replace(b'"sha256"', b'"md5"'), id="another field in an output"),
    ],
)
def test_damaged_marker_is_named(lake: LocalStore, data: bytes) -> None:
    """What is no marker is an error that names the object and the way out; nothing is taken for done or for pending."""
    lake.put(KEY, data)
    markers = Markers(lake)
    for _ in range(2):
        with pytest.raises(
            CorruptLakeError, match=rf"{KEY} is not a valid marker: .*\. Delete it; the next run makes the period again"
        ):
            markers.of("words")


def test_damaged_failure_marker_is_named(lake: LocalStore) -> None:
    """So is what is no failure marker."""
    lake.put(failed_key("words", HOUR), b'{"reason": ')
    with pytest.raises(CorruptLakeError, match="2026-01-05T13/_FAILED is not a valid failure marker"):
        Markers(lake).failures("words")


@pytest.fixture
def output(lake: LocalStore) -> Output:
    """An object that a run wrote: five bytes."""
    return write_bytes(lake, "data/words/2026-01-05T13/run=r1/words.parquet", "words", b"12345", 1)


Reader = Callable[[LocalStore, Output, Path], object]
READERS = [
    pytest.param(lambda store, output, _: read_bytes(store, output), id="read"),
    pytest.param(fetch_output, id="fetch"),
]


def test_object_has_size_and_checksum(lake: LocalStore, output: Output, tmp_path: Path) -> None:
    """SHA-256 of '12345', from sha256sum."""
    assert output.sha256 == "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"
    assert (output.size, output.rows) == (5, 1)
    assert read_bytes(lake, output) == b"12345"
    assert fetch_output(lake, output, tmp_path).read_bytes() == b"12345"


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("data", [pytest.param(b"123", id="cut short"), pytest.param(b"12346", id="changed")])
def test_damaged_object_is_named(lake: LocalStore, output: Output, tmp_path: Path, read: Reader, data: bytes) -> None:
    """The message has the key, what was expected, what was found, and what to do."""
    lake.put(output.key, data)
    with pytest.raises(CorruptLakeError) as caught:
        read(lake, output, tmp_path)
    message = str(caught.value)
    assert f"{output.key} is damaged: expected 5 bytes with SHA-256 5994471abb" in message
    assert f"found {len(data)} bytes with " in message
    assert message.endswith("Run its period again with --force")


@pytest.mark.parametrize("read", READERS)
def test_missing_object_is_damage(lake: LocalStore, output: Output, tmp_path: Path, read: Reader) -> None:
    """A listed object that is gone is a broken promise of the marker."""
    lake.delete(output.key)
    with pytest.raises(CorruptLakeError, match=f"{output.key} is missing, but its manifest lists it"):
        read(lake, output, tmp_path)


# Failures, and the markers as one process sees them.


def failure(generation: int = 1) -> Failure:
    """Return a failure of the hour."""
    return failure_of(BadInputError("5% rejects"), "words", HOUR, "r1", generation, START)


def test_known_error_tells_its_reason() -> None:
    """Our own errors are written for people, and their text stands in the failure marker."""
    assert failure(3) == Failure(
        "words", str(HOUR), "r1", 3, "bad input", 65, "5% rejects", "2026-01-07T12:00:00.000+00:00"
    )
    assert Failure.from_json(failure().to_json(), "key") == failure()


def test_unknown_error_tells_its_class_alone() -> None:
    """Its text may hold data; never raised, it has no place either."""
    failed = failure_of(KeyError(SECRET), "words", HOUR, "r1", 1, START)
    assert (failed.kind, failed.exit_code) == ("internal", 70)
    assert failed.reason == "builtins.KeyError at an unknown place. Set MARQUEE_LOG__LEVEL=debug for the traceback"


@pytest.mark.parametrize(
    ("generation", "in_force"),
    [pytest.param(1, False, id="settled by its generation"), pytest.param(2, True, id="a restatement that failed")],
)
def test_success_settles_failures_of_its_generation(lake: LocalStore, generation: int, in_force: bool) -> None:
    """A failure that was left beside the success of its generation is in force no more."""
    publish(lake, marker(), None)
    lake.put(failed_key("words", HOUR), failure(generation).to_json())
    markers = Markers(lake)
    assert (HOUR in markers.failures("words"), HOUR in markers.settled("words")) == (in_force, not in_force)


def test_failure_cleared_during_the_listing_is_no_error(lake: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run clears its failure between our listing and our reading: there is none."""
    lake.put(failed_key("words", HOUR), failure().to_json())
    get = LocalStore.get

    def cleared(store: LocalStore, key: str) -> bytes:
        store.delete(key)
        return get(store, key)

    monkeypatch.setattr(LocalStore, "get", cleared)
    assert Markers(lake).failures("words") == {}

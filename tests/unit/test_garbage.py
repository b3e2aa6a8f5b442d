"""Garbage collection deletes objects that nothing refers to, and only those."""

import dataclasses
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from marquee.calendar import hour
from marquee.errors import BadInputError, NewerLakeError
from marquee.lake.files import write_bytes
from marquee.lake.garbage import Garbage, collect, plan_digest, plan_garbage
from marquee.lake.keys import failed_key, new_run_id, run_prefix, success_key
from marquee.lake.manifest import Marker, Output
from marquee.lake.markers import Markers, failure_of, publish, read_marker
from marquee.lake.superseded import GRACE
from marquee.runs.stage import run_stage
from marquee.storage.base import Store
from marquee.storage.local import LocalStore
from tests.sample_stages import Ticking, WordsStage

HOUR, NEXT = hour("2026-01-05T13"), hour("2026-01-05T14")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAYS = timedelta(days=1)


def write_run(store: Store, begun: datetime, stage: str = "words") -> tuple[str, Output]:
    """Write one object of three bytes as a run that started at this time; return the id of the run and the object."""
    run_id = new_run_id(begun)
    return run_id, write_bytes(store, f"{run_prefix(stage, HOUR, run_id)}words.parquet", "words", b"abc", 1)


def stand(store: Store, run_id: str, output: Output, finished: datetime, previous: Marker | None = None) -> Marker:
    """Publish a run and return its marker."""
    marker = Marker(
        stage="words",
        period=str(HOUR),
        generation=previous.generation + 1 if previous else 1,
        run_id=run_id,
        code_version="1",
        definition_version="1",
        parameters={},
        inputs=(),
        inputs_digest="d",
        outputs=(output,),
        counts={},
        started_at=finished.isoformat(),
        finished_at=finished.isoformat(),
    )
    return publish(store, marker, previous)


def planned(store: Store, now: datetime, grace: timedelta = DAYS) -> list[str]:
    """Plan again, and return the prefixes."""
    return [one.prefix for one in plan_garbage(store, Markers(store), now, grace)]


def test_run_that_stands_is_kept_for_ever(store: Store) -> None:
    """A published run is kept at any age."""
    run_id, output = write_run(store, NOON)
    stand(store, run_id, output, NOON)
    assert planned(store, NOON + 1000 * DAYS) == []


def test_run_without_a_marker_goes_after_the_grace(store: Store) -> None:
    """A run without a marker is collected after the grace only, because it may still be at work."""
    run_id, output = write_run(store, NOON)
    assert planned(store, NOON + DAYS) == []
    late = NOON + DAYS + timedelta(seconds=1)
    plan = plan_garbage(store, Markers(store), late, DAYS)
    assert plan == [Garbage(f"data/words/2026-01-05T13/run={run_id}/", (output.key,), 3)]
    assert (plan[0].objects, store.get(output.key)) == (1, b"abc")
    assert collect(store, plan) == plan
    assert list(store.list()) == []


def test_superseded_run_goes_when_its_successor_is_old_enough(store: Store) -> None:
    """A superseded run is collected when its successor is older than the grace, because readers may still use it."""
    run_id, output = write_run(store, NOON)
    first = stand(store, run_id, output, NOON)
    replaced = NOON + 10 * DAYS
    new_id, new_output = write_run(store, replaced)
    stand(store, new_id, new_output, replaced, first)
    assert planned(store, replaced + DAYS) == []
    assert planned(store, replaced + DAYS + timedelta(seconds=1)) == [f"data/words/2026-01-05T13/run={run_id}/"]


def test_run_at_work_beside_an_old_marker_is_kept(store: Store) -> None:
    """A run that has not published yet is kept by its own start, even beside an old marker."""
    run_id, output = write_run(store, NOON)
    stand(store, run_id, output, NOON)
    at_work, _ = write_run(store, NOON + 10 * DAYS)
    assert planned(store, NOON + 11 * DAYS) == []
    assert planned(store, NOON + 12 * DAYS) == [f"data/words/2026-01-05T13/run={at_work}/"]


def test_object_carried_on_from_an_earlier_run_is_kept(store: Store) -> None:
    """An object that a later marker lists is kept in the prefix of the earlier run that wrote it."""
    run_id, output = write_run(store, NOON)
    first = stand(store, run_id, output, NOON)
    stand(store, new_run_id(NOON + DAYS), output, NOON + DAYS, first)
    assert planned(store, NOON + 1000 * DAYS) == []


def test_what_is_not_ours_is_kept(store: Store) -> None:
    """Objects that no run wrote, and runs whose names have no time, are kept."""
    for key in ("data/readme.txt", "data/words/someday/run=1/x", "data/words/2026-01-05T13/run=mine/x", "other/x"):
        store.put(key, b"x")
    assert planned(store, NOON + 1000 * DAYS) == []


def test_stage_that_is_not_known_has_its_markers_read(store: Store) -> None:
    """Stages are found by their data, also those that the lake does not list."""
    run_id, output = write_run(store, NOON, "words")
    stand(store, run_id, output, NOON)
    other, _ = write_run(store, NOON, "others")
    assert planned(store, NOON + 2 * DAYS) == [f"data/others/2026-01-05T13/run={other}/"]


def test_period_of_a_damaged_marker_is_kept(store: Store) -> None:
    """No run of a period whose marker is damaged is collected, because the objects that it lists are unknown."""
    run_id, output = write_run(store, NOON)
    superseded, _ = write_run(store, NOON - DAYS)
    old = run_prefix("words", NEXT, new_run_id(NOON))
    store.put(f"{old}words.parquet", b"abc")
    stand(store, run_id, output, NOON)
    plan = plan_garbage(store, Markers(store), NOON + 2 * DAYS, DAYS)
    assert [one.prefix for one in plan] == [run_prefix("words", HOUR, superseded), old]
    store.put(success_key("words", HOUR), b"{")
    assert planned(store, NOON + 2 * DAYS) == [old]
    assert [one.prefix for one in collect(store, plan)] == [old]
    assert len(list(store.list("data/"))) == 2


def test_marker_of_a_newer_format_stops_everything(store: Store) -> None:
    """A marker of a newer format stops the plan, and the deletion of an older plan."""
    run_id, output = write_run(store, NOON)
    plan = plan_garbage(store, Markers(store), NOON + 2 * DAYS, DAYS)
    marker = stand(store, run_id, output, NOON)
    store.put(success_key("words", HOUR), dataclasses.replace(marker, format=3).to_json())
    with pytest.raises(NewerLakeError):
        planned(store, NOON + 2 * DAYS)
    with pytest.raises(NewerLakeError):
        collect(store, plan)
    assert store.get(output.key) == b"abc"


def test_run_published_since_the_plan_is_not_collected(store: Store) -> None:
    """A run that was published after the plan is not collected, since markers are read again before deleting."""
    late, late_output = write_run(store, NOON)
    other, _ = write_run(store, NOON + timedelta(seconds=1))
    plan = plan_garbage(store, Markers(store), NOON + 2 * DAYS, DAYS)
    assert len(plan) == 2
    stand(store, late, late_output, NOON + 2 * DAYS)
    assert [one.prefix for one in collect(store, plan)] == [f"data/words/2026-01-05T13/run={other}/"]
    assert store.get(late_output.key) == b"abc"


def test_settled_failure_marker_goes(store: Store) -> None:
    """The failure marker of a period that succeeded later is collected, and one that is in force is kept."""
    run_id, output = write_run(store, NOON)
    stand(store, run_id, output, NOON)
    for period in (HOUR, NEXT):
        failure = failure_of(BadInputError("x"), "words", period, "r0", 1, NOON)
        store.put(failed_key("words", period), failure.to_json())
    assert planned(store, NOON + DAYS) == []
    plan = plan_garbage(store, Markers(store), NOON + 2 * DAYS, DAYS)
    assert [one.prefix for one in plan] == [failed_key("words", HOUR)]
    assert collect(store, plan) == plan
    assert store.head(failed_key("words", HOUR)) is None
    assert store.head(failed_key("words", NEXT)) is not None


def test_failure_that_came_since_the_plan_is_not_collected(store: Store) -> None:
    """A failure marker that was written again after the plan is not collected, because it is in force."""
    run_id, output = write_run(store, NOON)
    stand(store, run_id, output, NOON)
    failure = failure_of(BadInputError("x"), "words", HOUR, "r0", 1, NOON)
    store.put(failed_key("words", HOUR), failure.to_json())
    plan = plan_garbage(store, Markers(store), NOON + 2 * DAYS, DAYS)
    store.put(failed_key("words", HOUR), dataclasses.replace(failure, generation=2).to_json())
    assert (len(plan), collect(store, plan)) == (1, [])
    assert store.head(failed_key("words", HOUR)) is not None


def test_leftover_of_a_killed_write_goes(lake: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hidden file of a killed write is counted and collected like other garbage."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Path, "replace", die)
        lake.put("data/words/2026-01-05T13/run=r/words.parquet", b"abcd")
    now = datetime.now(UTC)
    assert planned(lake, now) == []
    (garbage,) = plan_garbage(lake, Markers(lake), now + 2 * DAYS, DAYS)
    assert (garbage.prefix.rpartition(".")[0], garbage.objects, garbage.bytes) == (
        "data/words/2026-01-05T13/run=r/.words.parquet",
        1,
        4,
    )
    collect(lake, [garbage])
    assert [path for path in lake.root.rglob("*") if path.is_file()] == []


def test_plan_has_a_digest_of_its_keys() -> None:
    """The digest of a plan is the SHA-256 of its sorted keys, one a line, and other keys give another digest."""
    plan = [Garbage("b", ("c", "b"), 2), Garbage("a", ("a",), 1)]
    assert plan_digest(plan) == "ea7fb08b7a2dc4619ffb7c7bb38d95a2047935fa165d71b12efd3852a2e6d0cc"
    assert plan_digest(plan[::-1]) == plan_digest(plan)
    assert plan_digest(plan[:1]) != plan_digest(plan)


def test_grace_is_a_week_unless_told(lake: LocalStore) -> None:
    """The grace is a week by default."""
    write_run(lake, NOON)
    assert plan_garbage(lake, Markers(lake), NOON + 7 * DAYS) == []
    assert len(plan_garbage(lake, Markers(lake), NOON + 7 * DAYS + timedelta(seconds=1))) == 1
    assert timedelta(days=7) == GRACE


def test_lake_is_as_before_without_its_garbage(lake: LocalStore, tmp_path: Path) -> None:
    """After reruns and failures, collection leaves the markers and the objects that they list."""
    raw = LocalStore(tmp_path / "raw")
    words = WordsStage(lake, raw)
    for text in (b"a\n", b"boom!\n", b"b\n", b"c\n"):
        raw.put(f"{HOUR}/file", text)
        run_stage(words, Markers(lake), clock=Ticking())
    assert len(list(lake.list("data/"))) == 3 * 2 + 1
    collect(lake, plan_garbage(lake, Markers(lake), datetime(2027, 1, 1, tzinfo=UTC), timedelta(0)))
    marker = read_marker(lake, "words", HOUR)
    assert marker is not None
    assert marker.generation == 3
    assert {info.key for info in lake.list("data/")} == {output.key for output in marker.outputs}
    assert [info.key for info in lake.list("markers/")] == [success_key("words", HOUR)]


def test_replaced_run_with_erased_viewers_goes_at_once(store: Store) -> None:
    """A run that the marker names as replaced by an erasure is collected without the grace; a run at work is not.

    The object that the new run still lists stays.
    """
    replaced_id, kept = write_run(store, NOON)
    replaced = stand(store, replaced_id, kept, NOON)
    gone = write_bytes(store, f"{run_prefix('words', HOUR, replaced_id)}other.parquet", "other", b"defg", 1)
    at_work, _ = write_run(store, NOON + timedelta(minutes=1))
    run_id, _ = write_run(store, NOON + timedelta(minutes=2))
    now = NOON + timedelta(minutes=3)
    marker = dataclasses.replace(replaced, generation=2, run_id=run_id, counts={"erased_runs": [replaced_id]})
    publish(store, marker, replaced)
    (plan,) = plan_garbage(store, Markers(store), now, DAYS)
    assert (plan.prefix, plan.keys) == (f"{run_prefix('words', HOUR, replaced_id)}", (gone.key,))
    collect(store, [plan])
    assert store.get(kept.key) == b"abc"
    assert any(at_work in info.key for info in store.list("data/"))

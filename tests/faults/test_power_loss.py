"""A power loss at any moment leaves a lake whose markers list only whole objects, and the next run ends the same."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from marquee.calendar import hour
from marquee.errors import CorruptLakeError
from marquee.lake.files import read_bytes
from marquee.lake.markers import Markers
from marquee.runs.stage import run_stage
from marquee.storage.local import LocalStore
from tests.faults.crashing import observe_lake, without_generations
from tests.faults.disk import Recorder, disks_after, write_disk
from tests.sample_stages import Ticking, TotalsStage, WordsStage

ONE, TWO = hour("2026-01-05T13"), hour("2026-01-05T14")
SOME = 1
"""Disks at each cut of which a random part of the pending changes is on the disk."""


@dataclass(frozen=True)
class Recorded:
    """A run, then a changed file, then a run of it: all steps, and the number of steps when each run said success."""

    recorder: Recorder
    raw: LocalStore
    successes: tuple[int, ...]


def run(lake: LocalStore, raw: LocalStore) -> None:
    """Run both stages like one process does."""
    markers = Markers(lake)
    run_stage(WordsStage(lake, raw), markers, clock=Ticking())
    run_stage(TotalsStage(markers), markers, clock=Ticking())


def record(folder: Path, *, durable: bool) -> Recorded:
    """Record a lake of two hours, one of which is bad at first, and is then mended while the other changes."""
    lake, raw = LocalStore(folder / "lake", durable=durable), LocalStore(folder / "raw")
    recorder = Recorder(lake.root)
    successes = []
    for one, two in (("a b", "bad!"), ("a b a", "c")):
        raw.put(f"{ONE}/file", one.encode())
        raw.put(f"{TWO}/file", two.encode())
        with recorder.recording():
            run(lake, raw)
        successes.append(len(recorder.steps))
    return Recorded(recorder, raw, tuple(successes))


def check_markers(lake: LocalStore) -> int:
    """Read every object that a marker lists; return the number of success markers."""
    markers = Markers(lake)
    found = [marker for stage in ("words", "totals") for marker in markers.of(stage).values()]
    for marker in found:
        for output in marker.outputs:
            read_bytes(lake, output)
    return len(found)


def test_power_may_fail_at_any_moment(tmp_path: Path) -> None:
    """At every cut, markers list whole objects only; the next run ends like one that nothing disturbed."""
    recorded = record(tmp_path, durable=True)
    steps, root = recorded.recorder.steps, recorded.recorder.root
    assert {step.kind for step in steps} >= {"mkdir", "write", "rename", "link", "unlink", "sync"}
    expected = observe_lake(LocalStore(root))
    lake, disks = LocalStore(tmp_path / "disk"), 0
    for cut in range(recorded.successes[0], len(steps) + 1):
        for kept in disks_after(steps, cut, SOME):
            write_disk(kept, root, lake.root)
            check_markers(lake)
            disks += 1
            run(lake, recorded.raw)
            found = observe_lake(lake)
            assert without_generations(found) == without_generations(expected), (
                f"cut after {cut} steps: {kept[-1] if kept else 'none'}"
            )
    assert disks > len(steps)


def test_what_was_published_stands(tmp_path: Path) -> None:
    """When a run has returned, its markers survive a power loss of the next moment: one hour, then two, and the day."""
    recorded = record(tmp_path, durable=True)
    lake = LocalStore(tmp_path / "disk")
    found = []
    for success in recorded.successes:
        nothing_more = next(disks_after(recorded.recorder.steps, success, 0))
        write_disk(nothing_more, recorded.recorder.root, lake.root)
        found.append(check_markers(lake))
    assert found == [2, 3]


def test_without_fsync_the_replay_finds_the_loss(tmp_path: Path) -> None:
    """Without fsync, some disk has a marker that is empty or lists a lost object: the replay can tell."""
    recorded = record(tmp_path, durable=False)
    lake = LocalStore(tmp_path / "disk")

    def replay() -> None:
        for cut in range(1, len(recorded.recorder.steps) + 1):
            for kept in disks_after(recorded.recorder.steps, cut, SOME):
                write_disk(kept, recorded.recorder.root, lake.root)
                check_markers(lake)

    with pytest.raises(CorruptLakeError):
        replay()

"""Two runs of one period: at the same time, and one that was frozen while the other published."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from marquee.lake.markers import Markers
from tests.faults.crashing import observe_lake
from tests.faults.processes import AT
from tests.faults.test_deaths import ONE, THREE, TWO, Lake
from tests.small_world import DAY


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    return Lake(tmp_path / "lake")


@pytest.fixture
def undisturbed(tmp_path: Path) -> Callable[..., dict[str, object]]:
    """Return what one run makes of raw files."""

    def made(**words: str) -> dict[str, object]:
        other = Lake(tmp_path / "other")
        other.files(**words)
        (other.folder / "go").touch()
        assert other.run()[0] == 0
        return observe_lake(other.store)

    return made


def come_to_the_place(process: "subprocess.Popen[str]") -> None:
    """Wait until a run waits in a kernel."""
    assert process.stderr is not None
    while (line := process.stderr.readline()).strip() != AT:
        assert line, "the run has ended"


def test_two_runs_at_once(lake: Lake, undisturbed: Callable[..., dict[str, object]]) -> None:
    """Of each period one of two runs is published, the other ends with 76; neither counts as a death in the end."""
    words = {"one": "a wait!", "two": "b", "three": "c"}
    lake.files(**words)
    twins = [lake.start(), lake.start()]
    for process in twins:
        come_to_the_place(process)
    (lake.folder / "go").touch()
    for process in twins:
        process.communicate(timeout=30)
    codes = [process.returncode for process in twins]
    assert set(codes) <= {0, 76}
    assert 76 in codes  # both have worked on the first hour
    assert (lake.made(), lake.reasons(), lake.begun()) == ([ONE, TWO, THREE], {}, {})
    assert observe_lake(lake.store) == undisturbed(**words)
    assert lake.scratch() == []


def test_two_runs_at_once_by_force(lake: Lake, undisturbed: Callable[..., dict[str, object]]) -> None:
    """Two forced runs end with 0, so that nobody tries them again, and have made a period twice at most."""
    words = {"one": "a wait!", "two": "b", "three": "c"}
    lake.files(**words)
    twins = [lake.start(DAY, "--force") for _ in range(2)]
    for process in twins:
        come_to_the_place(process)
    (lake.folder / "go").touch()
    logs = [process.communicate(timeout=30)[1] for process in twins]
    assert [process.returncode for process in twins] == [0, 0]
    assert any("its result is kept" in log for log in logs)  # both have worked on the first hour
    generations = {str(period): one.generation for period, one in Markers(lake.store).of("words").items()}
    assert set(generations) == {ONE, TWO, THREE}
    assert generations[ONE] == 1
    assert set(generations.values()) <= {1, 2}
    found, expected = (
        {key for key in one if key.startswith("data/")} for one in (observe_lake(lake.store), undisturbed(**words))
    )
    assert found == expected


def test_frozen_run_wakes_after_another_was_published(
    lake: Lake, undisturbed: Callable[..., dict[str, object]]
) -> None:
    """A run that is stopped and continued after another run was published is refused with 76, and changes nothing."""
    lake.files(one="a wait!")
    frozen = lake.start(alone=True)
    come_to_the_place(frozen)
    frozen.send_signal(signal.SIGSTOP)
    (lake.folder / "go").touch()
    assert lake.run()[0] == 0
    (marker,) = Markers(lake.store).of("words").values()
    frozen.send_signal(signal.SIGCONT)
    frozen.communicate(timeout=30)
    assert frozen.returncode == 76
    assert list(Markers(lake.store).of("words").values()) == [marker]
    assert (lake.reasons(), lake.begun()) == ({}, {})
    assert observe_lake(lake.store) == undisturbed(one="a wait!")


def test_frozen_run_of_older_events_is_refused(lake: Lake, undisturbed: Callable[..., dict[str, object]]) -> None:
    """A run that woke up with events from before a correction does not replace the corrected hour."""
    lake.files(one="a wait!")
    frozen = lake.start(alone=True)
    come_to_the_place(frozen)
    frozen.send_signal(signal.SIGSTOP)
    lake.files(one="a a b")
    assert lake.run()[0] == 0
    (lake.folder / "go").touch()
    frozen.send_signal(signal.SIGCONT)
    frozen.communicate(timeout=30)
    assert frozen.returncode == 76
    assert lake.run()[1][-1] == "words: nothing was pending"
    assert observe_lake(lake.store) == undisturbed(one="a a b")


def test_frozen_run_counts_as_one_death_at_most(lake: Lake) -> None:
    """Runs that pass a frozen one make its period at once; a single death puts nothing off."""
    lake.files(one="wait!", two="a")
    frozen = lake.start(alone=True)
    come_to_the_place(frozen)
    frozen.send_signal(signal.SIGSTOP)
    (lake.folder / "go").touch()
    code, log = lake.run()
    assert code == 0
    assert [line for line in log if "published" in line] == [f"words {ONE} published", f"words {TWO} published"]
    frozen.kill()
    frozen.communicate(timeout=30)
    assert lake.begun() == {}


def test_scratch_space_of_a_killed_run_is_swept(lake: Lake) -> None:
    """The next run deletes the scratch folder of a killed one, which only its user could open, and no living one's."""
    lake.files(one="wait!")
    living, killed = lake.start(alone=True), lake.start(alone=True)
    come_to_the_place(living)
    come_to_the_place(killed)
    scratch = lake.folder / "scratch"
    assert len(list(scratch.iterdir())) == 2
    modes = {oct(path.stat().st_mode & 0o777) for path in scratch.rglob("*") if path.is_dir()}
    assert modes == {"0o700"}
    killed.kill()
    killed.communicate(timeout=30)
    assert len(list(scratch.iterdir())) == 2
    lake.files(two="a")
    (lake.folder / "go").touch()
    os.kill(living.pid, signal.SIGSTOP)
    lake.run()
    assert len(list(scratch.iterdir())) == 1  # the folder of the run that lives, although it is stopped
    os.kill(living.pid, signal.SIGCONT)
    living.communicate(timeout=30)
    assert lake.scratch() == []

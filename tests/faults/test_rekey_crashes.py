"""A rekey killed after its writes and run again: the lake is the same in the end."""

import itertools
import json
import os
from pathlib import Path
from unittest import mock

import pytest

from jobs.cli.__main__ import main
from tests.faults.crashing import WRITES, crash_everywhere, observe_lake, world_of_two
from tests.small_world import KEY, SmallWorld


@pytest.fixture
def older(tmp_path: Path) -> SmallWorld:
    """A finished lake of two viewers under an older key, with a request to erase one that no run has honoured."""
    world = world_of_two(tmp_path / "older")
    listed = json.dumps(["a newer key of this world", KEY])
    world.config.write_text(world.config.read_text().replace(f'viewer_key = "{KEY}"', f"viewer_key = {listed}"))
    return world


def rekey(world: SmallWorld) -> int:
    """Bring the lake to the newer key, and run the stages that hold viewers."""
    with mock.patch.dict(os.environ, MARQUEE_CONFIG=str(world.config)):
        return main(["rekey"]) or world.run("rollup", "profile")


def test_rekey_killed_at_writes_ends_the_same(older: SmallWorld, tmp_path: Path) -> None:
    """Killed after every fourth write and run again, hours, day, audiences and the request are under the newer key."""
    numbers = itertools.count(1)
    writes = crash_everywhere(
        lambda: older.copy(tmp_path / str(next(numbers))),
        rekey,
        lambda world: observe_lake(world.lake),
        calls=WRITES,
        every=4,
        sides=["after"],
    )
    assert writes > 40  # two hours, a day, four audiences and a request, moved and then without the viewer

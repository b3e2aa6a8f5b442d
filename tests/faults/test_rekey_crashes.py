"""A rekey killed after its writes and run again: the lake is the same in the end."""

import itertools
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import pytest

from jobs.cli.__main__ import main
from jobs.rollup.viewer import viewer_of
from marquee.lake import keys
from marquee.lake.erasures import Request, write_request
from tests.faults.crashing import STORE_CALLS, crash_everywhere, observe_lake
from tests.small_world import CASE, DAY, KEY, WINTER, SmallWorld, told_service

WRITES = [(store, name) for store, name in STORE_CALLS if name.startswith("put") or name == "delete"]


@pytest.fixture
def older(tmp_path: Path) -> SmallWorld:
    """A finished lake of two viewers under an older key, with a request to erase one that no run has honoured."""
    with told_service() as service:
        world = SmallWorld(tmp_path / "older")
        world.configure(service.url)
        for hour in (10, 11):
            world.events(f"{DAY}T{hour}", [("ann", minute, WINTER) for minute in range(3)] + [("eve", 7, CASE)])
        assert world.run() == 0
    request = Request((viewer_of((KEY.encode(),), "eve"),))
    write_request(world.lake, request, keys.new_run_id(datetime(2026, 1, 6, tzinfo=UTC)))
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

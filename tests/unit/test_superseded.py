"""Replaced runs of a period are deleted after the grace period, and nothing else is."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from marquee.calendar import Period
from marquee.lake.files import write_bytes
from marquee.lake.garbage import collect, plan_garbage
from marquee.lake.keys import new_run_id, run_prefix
from marquee.lake.manifest import Marker, Output
from marquee.lake.markers import Markers, publish
from marquee.lake.superseded import SUPERSEDED, let_go, replaced_at, runs_to_note
from marquee.storage.base import Store

QUARTER = Period.parse("2026-Q1")
START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)


class Lake:
    """A period that is published again and again: each run writes a result, and may write and keep blocks."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.marker: Marker | None = None

    def run(self, day: int, kept: tuple[Output, ...] = ()) -> tuple[Output, Output]:
        """Publish the run of a day, which lists its own result and block, and blocks of earlier runs."""
        now = START + day * DAY
        run_id = new_run_id(now)
        prefix = run_prefix("audience", QUARTER, run_id)
        result = write_bytes(self.store, f"{prefix}audience.parquet", "audience", b"result", 1)
        block = write_bytes(self.store, f"{prefix}viewer_period/bucket=0000.parquet", "viewer_period", b"block", 1)
        let_go(self.store, self.marker, now)
        outputs = (result, block, *kept)
        self.marker = publish(self.store, self._marker(run_id, now, outputs), self.marker)
        return result, block

    def _marker(self, run_id: str, now: datetime, outputs: tuple[Output, ...]) -> Marker:
        return Marker(
            stage="audience",
            period=str(QUARTER),
            generation=self.marker.generation + 1 if self.marker else 1,
            run_id=run_id,
            code_version="1",
            definition_version="1",
            parameters={},
            inputs=(),
            inputs_digest="d",
            outputs=outputs,
            counts={SUPERSEDED: runs_to_note(self.marker, outputs, now)},
            started_at=now.isoformat(),
            finished_at=now.isoformat(),
        )

    def has(self, output: Output) -> bool:
        """Return whether an object is there."""
        return self.store.head(output.key) is not None


class Unread:
    """The rest of a marker, which nobody may read."""

    def fields(self, name: str) -> Mapping[str, object]:
        """Fail, with the name of what was asked for."""
        raise AssertionError(name)


@pytest.fixture
def lake(store: Store) -> Lake:
    """Return an empty lake."""
    return Lake(store)


def test_run_stays_for_a_week_after_it_was_replaced(lake: Lake) -> None:
    """Day 0 is replaced on day 1. On day 8, exactly a week later, it is kept; on day 9 it is deleted."""
    first = lake.run(0)
    for day in range(1, 9):
        lake.run(day)
    assert [lake.has(one) for one in first] == [True, True]
    lake.run(9)
    assert [lake.has(one) for one in first] == [False, False]


def test_marker_is_not_read_in_full_while_nothing_is_over(lake: Lake) -> None:
    """A marker of the index, whose outputs would have to be read, is not read if no replaced run is a week old."""
    counts = {SUPERSEDED: {new_run_id(START): (START + DAY).isoformat()}}
    known = Marker.known({"stage": "audience", "period": str(QUARTER), "counts": counts, "later": Unread()})
    assert let_go(lake.store, known, START + 8 * DAY) == 0
    with pytest.raises(AssertionError, match="outputs"):
        let_go(lake.store, known, START + 9 * DAY)


def test_block_that_is_listed_stays(lake: Lake) -> None:
    """The result of a replaced run goes, the block that later markers still list stays."""
    result, block = lake.run(0)
    for day in range(1, 30):
        lake.run(day, kept=(block,))
    assert (lake.has(result), lake.has(block)) == (False, True)


def test_block_stays_for_a_week_after_the_last_marker_with_it(lake: Lake) -> None:
    """A block that was listed up to day 20 is replaced on day 21, and deleted after day 28."""
    _, block = lake.run(0)
    for day in range(1, 21):
        lake.run(day, kept=(block,))
    for day in range(21, 29):
        lake.run(day)
    assert lake.has(block)
    lake.run(29)
    assert not lake.has(block)


def test_marker_notes_few_runs(lake: Lake) -> None:
    """A period that is published each day has the objects of nine runs, whatever the number of its days."""
    for day in range(60):
        lake.run(day)
    assert lake.marker is not None
    assert len(replaced_at(lake.marker)) == 8  # of days 51 to 58
    assert len({info.key.split("/")[3] for info in lake.store.list("data/")}) == 9


def test_garbage_has_what_nobody_let_go(lake: Lake) -> None:
    """What is noted as replaced is garbage after the grace, though the marker is young; listed objects are not."""
    result, block = lake.run(0)
    lake.run(1, kept=(block,))
    young = lake.run(8, kept=(block,))
    assert plan_garbage(lake.store, Markers(lake.store), START + 8 * DAY) == []
    plan = plan_garbage(lake.store, Markers(lake.store), START + 8 * DAY + timedelta(seconds=1))
    assert [one.keys for one in plan] == [(result.key,)]
    assert collect(lake.store, plan) == plan
    assert not lake.has(result)
    assert all(lake.has(one) for one in (block, *young))


@pytest.mark.parametrize("found", [None, [], {"run": 7}, {"run": "soon"}, {"run": "2026-01-05T00:00:00"}])
def test_senseless_notes_delete_nothing(lake: Lake, found: Mapping[str, object]) -> None:
    """A count that is no list of runs and times is passed over."""
    lake.run(0)
    assert lake.marker is not None
    marker = Marker(**{**vars(lake.marker), "counts": {SUPERSEDED: found}})
    assert replaced_at(marker) == {}
    assert let_go(lake.store, marker, START + 1000 * DAY) == 0

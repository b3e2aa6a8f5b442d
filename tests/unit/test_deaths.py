"""Traces of runs whose process died: which count, what they change, and when they go away."""

import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from marquee.calendar import EVER, Period, hour
from marquee.errors import EngineGoneError
from marquee.lake import keys
from marquee.lake.begun import Begun, read_begun, write_begun
from marquee.lake.datasets import REJECTS, VIEWERSHIP
from marquee.lake.files import write_output
from marquee.lake.garbage import collect, plan_garbage
from marquee.lake.manifest import Result
from marquee.lake.markers import Markers
from marquee.lake.parquet import empty
from marquee.runs.stage import Report, RunContext, Target, run_stage, run_stages
from marquee.runs.supervisor import INVOCATION
from marquee.storage.local import LocalStore
from tests.sample_stages import START, Ticking, TotalsStage, WordsStage

ONE, TWO, THREE = (hour(f"2026-01-05T{number}") for number in (13, 14, 15))
DAY = Period.parse("2026-01-05")
LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def raw(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """Raw files of three hours."""
    store = LocalStore(tmp_path_factory.mktemp("raw"))
    for period in (ONE, TWO, THREE):
        store.put(f"{period}/file", b"a")
    return store


def leave(lake: LocalStore, period: Period, deaths: int, stage: str = "words", **more: object) -> None:
    """Leave the trace of a run that died, after others had died."""
    found = {
        "run_id": "20260106T000000000000-dead",
        "invocation": "another",
        "begun_at": "2026-01-06T00:00:00.000+00:00",
    }
    write_begun(lake, Begun(stage, str(period), deaths=deaths - 1, **found | more))  # type: ignore[arg-type]


class Recording(WordsStage):
    """A stage that records the order of its periods."""

    def __init__(self, lake: LocalStore, raw: LocalStore) -> None:
        super().__init__(lake, raw)
        self.order: list[Period] = []

    def make(self, target: Target, run: RunContext) -> Result:
        """Record the period, then count its words."""
        self.order.append(target.period)
        return super().make(target, run)


def run(stage: WordsStage, *, force: bool = False) -> Report:
    """Run a stage as a new process does."""
    return run_stage(stage, Markers(stage.lake), EVER, force=force, clock=Ticking())


@pytest.mark.parametrize(
    ("deaths", "order"),
    [
        pytest.param(1, [ONE, TWO, THREE], id="one death changes nothing"),
        pytest.param(2, [TWO, THREE, ONE], id="after two it is the last"),
        pytest.param(7, [TWO, THREE, ONE], id="and after more"),
    ],
)
def test_order(lake: LocalStore, raw: LocalStore, deaths: int, order: list[Period]) -> None:
    """A period at which the process died twice comes after all others; its success clears everything."""
    leave(lake, ONE, deaths)
    stage = Recording(lake, raw)
    report = run(stage)
    assert (stage.order, report.changed, report.exit_code) == (order, 3, 0)
    assert (Markers(lake).failures("words"), read_begun(lake, "words", ONE)) == ({}, None)


def test_period_is_failed_before_it_is_tried_again(lake: LocalStore, raw: LocalStore) -> None:
    """When the others are made, the failure is already in the lake, in case that the process dies again."""
    leave(lake, TWO, 2)
    seen: list[str] = []

    class Looking(WordsStage):
        def make(self, target: Target, run: RunContext) -> Result:
            seen.extend(one.reason for one in Markers(lake).failures("words").values() if target.period == ONE)
            return super().make(target, run)

    raw.put(f"{THREE}/file", b"b")
    stage = Looking(lake, raw)
    leave(lake, ONE, 2)
    leave(lake, TWO, 1)
    run(stage)
    assert [one.partition(":")[0] for one in seen] == ["the process died twice at this period"]


def test_command_does_not_try_its_own_victim_again(lake: LocalStore, raw: LocalStore) -> None:
    """A process that was started again after deaths leaves the period for another command, with code 70."""
    leave(lake, ONE, 2, invocation=INVOCATION)
    stage = Recording(lake, raw)
    report = run(stage)
    assert (stage.order, report.failed) == ([TWO, THREE], ((ONE, 70),))
    assert Markers(lake).failures("words")[ONE].exit_code == 70
    assert Markers(lake).begun("words")[ONE].died == 2


def test_later_stages_come_before_the_retry(lake: LocalStore, raw: LocalStore) -> None:
    """In a job of two stages the second one runs before the retry, and once more after its success."""
    leave(lake, TWO, 2)
    markers = Markers(lake)
    words, totals = Recording(lake, raw), TotalsStage(markers)
    report = run_stages([words, totals], markers, clock=Ticking())
    assert [f"{one.stage} {one.period}" for one in report.made] == [
        f"words {ONE}",
        f"words {THREE}",
        f"words {TWO}",
        f"totals {DAY}",
        f"totals {DAY}",
    ]
    assert markers.of("totals")[DAY].generation == 2


@pytest.mark.parametrize("word", ["bad!", "later!", "boom!"])
def test_failure_clears_the_count(lake: LocalStore, raw: LocalStore, word: str) -> None:
    """A run that ends with an error has not died, and the deaths before it no longer count."""
    leave(lake, ONE, 3)
    raw.put(f"{ONE}/file", word.encode())
    run(WordsStage(lake, raw))
    assert list(Markers(lake).failures("words")) == [ONE]
    assert read_begun(lake, "words", ONE) is None


def end_of_success(lake: LocalStore) -> str:
    """Return the run of a success marker."""
    return Markers(lake).of("words")[ONE].run_id


def end_of_failure(lake: LocalStore) -> str:
    """Return the run of a failure marker."""
    return Markers(lake).failures("words")[ONE].run_id


@pytest.mark.parametrize(
    ("word", "ended"),
    [pytest.param("a", end_of_success, id="success"), pytest.param("bad!", end_of_failure, id="failure")],
)
def test_run_that_was_killed_after_its_end_has_not_died(
    lake: LocalStore, raw: LocalStore, word: str, ended: Callable[[LocalStore], str]
) -> None:
    """A trace whose run has a marker is of a run that was killed between the marker and the deletion of the trace."""
    raw.put(f"{ONE}/file", word.encode())
    run(WordsStage(lake, raw))
    leave(lake, ONE, 2, run_id=ended(lake))
    assert Markers(lake).begun("words") == {}


def test_trace_that_is_gone_meanwhile_counts_for_nothing(lake: LocalStore, raw: LocalStore) -> None:
    """A run that was at work when the markers were listed, and has ended since, is no death."""
    leave(lake, ONE, 2)
    stage, markers = Recording(lake, raw), Markers(lake)
    markers.of("words")
    lake.delete(keys.begun_key("words", ONE))
    run_stage(stage, markers, clock=Ticking())
    assert stage.order == [ONE, TWO, THREE]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"stage": "rollup"}, id="another stage"),
        pytest.param({"period": "2026-01-05T14"}, id="another period"),
        pytest.param({"period": "nonsense"}, id="no period"),
        pytest.param({"begun_at": "yesterday"}, id="no time"),
        pytest.param({"begun_at": "2026-01-06T00:00:00"}, id="no zone"),
        pytest.param({"deaths": "3"}, id="no number"),
    ],
)
def test_damaged_trace_counts_for_nothing(lake: LocalStore, raw: LocalStore, damage: dict[str, object]) -> None:
    """A trace that is damaged, or of another key, puts no period off; the period's next run replaces it, or gc."""
    key = keys.begun_key("words", ONE)
    leave(lake, ONE, 2)
    lake.put(key, json.dumps(json.loads(lake.get(key)) | damage).encode())
    assert Markers(lake).stale_begun("words", START) == [ONE]
    stage = Recording(lake, raw)
    assert (run(stage).exit_code, stage.order) == (0, [ONE, TWO, THREE])
    assert lake.head(key) is None


@pytest.mark.parametrize("signal", [SystemExit, KeyboardInterrupt, EngineGoneError])
@pytest.mark.parametrize(("before", "after"), [(0, None), (2, 2)])
def test_signal_to_stop_restores_the_count(
    lake: LocalStore, raw: LocalStore, signal: type[BaseException], before: int, after: int | None
) -> None:
    """A signal to stop, or the end of the engine, is no death and no failure: what was counted before stays."""

    class Stopped(WordsStage):
        def make(self, target: Target, run: RunContext) -> Result:
            if target.period == ONE:
                raise signal
            return super().make(target, run)

    if before:
        leave(lake, ONE, before)
    with pytest.raises(signal):
        run(Stopped(lake, raw))
    found = Markers(lake).begun("words").get(ONE)
    assert (found.died if found else None) == after
    assert [one.reason for one in Markers(lake).failures("words").values() if "died" not in one.reason] == []


def test_period_at_work_is_not_failed(lake: LocalStore) -> None:
    """While a run works, its trace alone changes no state: the period is pending, not failed."""
    leave(lake, ONE, 1)
    leave(lake, TWO, 2)
    assert Markers(lake).failures("words") == {}
    assert Markers(lake).of("words") == {}


def test_garbage(lake: LocalStore, raw: LocalStore) -> None:
    """Old traces that mean nothing are garbage; that of a period which is put off is not."""
    run(WordsStage(lake, raw))
    leave(lake, ONE, 1, run_id="20250101T000000000000-old")  # settled by the later success
    leave(lake, TWO, 1, run_id="20270101T000000000000-new")  # of a forced run that died, once
    leave(lake, THREE, 2, run_id="20270101T000000000000-new")
    lake.put(keys.begun_key("profile", DAY), b"damaged")
    plan = plan_garbage(lake, Markers(lake), LATER)
    traces = [one.prefix for one in plan if one.prefix.endswith("_BEGUN")]
    assert traces == [keys.begun_key("profile", DAY), keys.begun_key("words", ONE), keys.begun_key("words", TWO)]
    collect(lake, plan)
    assert [info.key for info in lake.list("markers/words/") if info.key.endswith("_BEGUN")] == [
        keys.begun_key("words", THREE)
    ]


def test_young_traces_are_no_garbage(lake: LocalStore) -> None:
    """A trace that is younger than the grace period may be of a run that still works."""
    leave(lake, ONE, 1, begun_at=START.isoformat())
    assert plan_garbage(lake, Markers(lake), START + timedelta(days=6)) == []


def test_rejected_lines_are_for_this_user_alone(lake: LocalStore) -> None:
    """The file of rejected lines, which may hold user ids, has mode 0600; other files are for all who may read."""
    before = os.umask(0o022)
    prefix = "data/rollup/2026-01-05T13/run=1/"
    outputs = [write_output(lake, prefix, dataset, empty(dataset)) for dataset in (REJECTS, VIEWERSHIP)]
    os.umask(before)
    for output, mode in zip(outputs, (0o600, 0o644), strict=True):
        assert stat.S_IMODE((lake.root / output.key).stat().st_mode) == mode

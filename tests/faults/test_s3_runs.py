"""Runs on a faulty S3: ignored conditions, missing answers, killed processes."""

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.cli.__main__ import main
from marquee.calendar import Period, hour
from marquee.errors import TryAgainError
from marquee.lake.files import read_output
from marquee.lake.manifest import Result
from marquee.lake.markers import Markers
from marquee.runs.stage import RunContext, State, Target, run_stage, state_of
from marquee.storage.base import Store
from marquee.storage.local import LocalStore
from marquee.storage.s3 import S3Store
from tests.faults.crashing import WRITES, crash_everywhere, observe_lake
from tests.helpers_rollup import GOOD, key_of
from tests.lagging import lag_behind
from tests.s3_proxy import CONDITIONS, Fault, S3Proxy
from tests.sample_stages import WORDS, Ticking, TotalsStage, WordsStage

HOUR = hour("2026-01-05T13")
LARGE = bytes(6 << 20)


class Overtaken(WordsStage):
    """The words of an hour, with a complete run of another process between the last object and the marker."""

    def __init__(self, lake: Store, raw: Store, other: Callable[[], object]) -> None:
        super().__init__(lake, raw)
        self._other = other

    def make(self, target: Target, run: RunContext) -> Result:
        """Count the words, and then let the other run pass."""
        result = super().make(target, run)
        self._other()
        return result


def words_of(lake: Store) -> dict[str, int]:
    """Return the published words of the hour, read through the marker and checked."""
    marker = Markers(lake).of("words")[HOUR]
    assert {output.key.split("/")[3] for output in marker.outputs} == {f"run={marker.run_id}"}
    (output,) = marker.of(WORDS)
    return {row["word"]: row["times"] for row in read_output(lake, output).to_pylist()}


@pytest.mark.parametrize("first", [True, False], ids=["first run", "restatement"])
def test_runs_are_never_mixed_where_conditions_are_ignored(
    s3_lake: S3Store, s3_proxy: S3Proxy, tmp_path: Path, *, first: bool
) -> None:
    """If conditions are ignored, both runs succeed, the later result is complete, and it is stale and made again."""
    raw = LocalStore(tmp_path / "raw")
    lake = S3Store(s3_lake.bucket, s3_lake.prefix.rstrip("/"), replace(s3_lake._options, endpoint_url=s3_proxy.url))
    s3_proxy.stripped = CONDITIONS
    if not first:
        raw.put(f"{HOUR}/file", b"old")
        run_stage(WordsStage(lake, raw), Markers(lake), clock=Ticking())

    def newer() -> None:
        raw.put(f"{HOUR}/file", b"a b b")
        assert run_stage(WordsStage(lake, raw), Markers(lake), clock=Ticking()).changed == 1

    raw.put(f"{HOUR}/file", b"a")
    assert run_stage(Overtaken(lake, raw, newer), Markers(lake), clock=Ticking()).changed == 1
    assert words_of(lake) == {"a": 1}
    stage, markers = WordsStage(lake, raw), Markers(lake)
    assert state_of(stage, stage.target(HOUR), markers) is State.STALE
    assert run_stage(stage, markers, clock=Ticking()).changed == 1
    assert words_of(lake) == {"a": 1, "b": 2}


def test_slower_run_loses_where_it_looks_first(s3_lake: S3Store, tmp_path: Path) -> None:
    """With conditional writes switched off, a slower run is still refused if the other one ended long before."""
    raw = LocalStore(tmp_path / "raw")
    options = replace(s3_lake._options, conditional_writes=False)
    lake = S3Store(s3_lake.bucket, s3_lake.prefix.rstrip("/"), options)

    def newer() -> None:
        raw.put(f"{HOUR}/file", b"a b b")
        assert run_stage(WordsStage(lake, raw), Markers(lake), clock=Ticking()).changed == 1

    raw.put(f"{HOUR}/file", b"a")
    report = run_stage(Overtaken(lake, raw, newer), Markers(lake), clock=Ticking())
    assert report.failed == ((HOUR, 76),)
    assert words_of(lake) == {"a": 1, "b": 2}


def test_listings_that_lag_only_cost_work(s3_lake: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is not shown the published marker loses the race; once listings are up to date nothing is pending."""
    raw = LocalStore(tmp_path / "raw")
    raw.put(f"{HOUR}/file", b"a b a")
    current = lag_behind(monkeypatch, S3Store)
    first, second = (run_stage(WordsStage(s3_lake, raw), Markers(s3_lake), clock=Ticking()) for _ in range(2))
    assert (first.changed, second.failed) == (1, ((HOUR, 76),))
    current()
    third = run_stage(WordsStage(s3_lake, raw), Markers(s3_lake), clock=Ticking())
    assert (third.changed, third.unchanged, third.failed) == (0, 1, ())
    assert words_of(s3_lake) == {"a": 2, "b": 1}


def test_marker_whose_fate_is_unknown_is_settled_by_the_next_run(
    s3_lake: S3Store, s3_proxy: S3Proxy, tmp_path: Path
) -> None:
    """When the answer to a marker is lost and the marker cannot be read, the run fails; the next one finds it done."""
    raw = LocalStore(tmp_path / "raw")
    raw.put(f"{HOUR}/file", b"a b a")
    options = replace(s3_lake._options, endpoint_url=s3_proxy.url, retry_for_s=1)
    lake = S3Store(s3_lake.bucket, s3_lake.prefix.rstrip("/"), options)
    lost = Fault("lose_answer", "PUT", conditional=True)
    unread = Fault("refuse", "HEAD", 1000, 503, "SlowDown", path="_SUCCESS")
    s3_proxy.faults = [lost, unread]
    report = run_stage(WordsStage(lake, raw), Markers(lake), clock=Ticking())
    assert report.failed == ((HOUR, 75),)
    s3_proxy.mend()
    markers = Markers(lake)
    assert list(markers.failures("words")) == []
    assert run_stage(WordsStage(lake, raw), markers, clock=Ticking()).unchanged == 1
    assert words_of(s3_lake) == {"a": 2, "b": 1}


def test_silent_server_ends_a_run_with_nothing_published(
    s3_lake: S3Store, s3_proxy: S3Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When uploads are never answered, the run ends with 75 and publishes nothing, and the next run makes the hour."""
    raw = LocalStore(tmp_path / "raw")
    raw.put(key_of("plays+0+0.json"), GOOD + b"\n")
    settings = {
        "LAKE": s3_lake.url,
        "RAW": raw.url,
        "ROLLUP__VIEWER_KEY": "0123456789abcdef",
        "S3__ENDPOINT_URL": s3_proxy.url,
        "S3__PATH_STYLE": "true",
        "S3__RETRY_FOR_S": "0",
        "S3__READ_TIMEOUT_S": "0.3",
        "S3__CONNECT_TIMEOUT_S": "0.3",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"MARQUEE_{name}", value)
    s3_proxy.faults = [Fault("hang", "PUT", 1000)]
    assert main(["rollup", str(HOUR)]) == 75
    assert list(s3_lake.list()) == []
    s3_proxy.mend()
    monkeypatch.setenv("MARQUEE_S3__READ_TIMEOUT_S", "60")
    assert main(["rollup", str(HOUR)]) == 0
    assert list(Markers(s3_lake).of("rollup")) == [HOUR]


def test_upload_that_could_not_be_aborted_is_garbage(
    s3_lake: S3Store, s3_proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The parts of an upload that could not be aborted are garbage, and `marquee gc` aborts the upload."""
    options = replace(
        s3_lake._options, endpoint_url=s3_proxy.url, retry_for_s=0, part_mb=5, read_timeout_s=0.3, connect_timeout_s=0.3
    )
    s3_proxy.faults = [Fault("hang", "PUT", 1000), Fault("hang", "DELETE", 1000)]
    with pytest.raises(TryAgainError, match="data/x"):
        S3Store(s3_lake.bucket, s3_lake.prefix.rstrip("/"), options).put("data/x", LARGE)
    (upload,) = s3_lake.leftovers(datetime.now(UTC) + timedelta(minutes=1))
    assert upload.key.startswith("data/x?uploadId=")
    monkeypatch.setenv("MARQUEE_LAKE", s3_lake.url)
    monkeypatch.setenv("MARQUEE_S3__ENDPOINT_URL", s3_lake._options.endpoint_url or "")
    monkeypatch.setenv("MARQUEE_S3__PATH_STYLE", "true")
    assert main(["gc"]) == 0
    assert capsys.readouterr().out == "There is no garbage older than 168 hours.\n"  # too young
    assert main(["gc", "--grace-hours", "0"]) == 0
    shown = capsys.readouterr().out
    assert upload.key in shown
    digest = re.findall(r"--delete (\w+)", shown)[0]
    assert main(["gc", "--grace-hours", "0", "--delete", digest]) == 0
    assert list(s3_lake.leftovers(datetime.now(UTC) + timedelta(minutes=1))) == []


def test_killed_on_s3_and_run_again_ends_the_same(s3_lake: S3Store, tmp_path: Path) -> None:
    """Two stages with a restated hour and a bad hour reach the same end on S3 after being killed after any write."""
    raw = LocalStore(tmp_path / "raw")
    numbers = itertools.count(1)

    def world() -> S3Store:
        lake = S3Store(s3_lake.bucket, f"{s3_lake.prefix}{next(numbers)}", s3_lake._options)
        for info in made.list():
            lake.put(info.key, made.get(info.key))  # with the same etag, which S3 derives from the bytes
        return lake

    def run(lake: S3Store) -> None:
        markers = Markers(lake)
        run_stage(WordsStage(lake, raw), markers, clock=Ticking())
        run_stage(TotalsStage(markers), markers, clock=Ticking())

    made = S3Store(s3_lake.bucket, f"{s3_lake.prefix}0", s3_lake._options)
    raw.put(f"{HOUR}/file", b"a b")
    run(made)
    raw.put(f"{HOUR}/file", b"a b a")
    raw.put(f"{Period.parse('2026-01-05T14')}/file", b"bad!")
    writes = crash_everywhere(world, run, observe_lake, calls=WRITES, sides=["after"])
    # Two objects, one of the totals, two markers, the clearing of two failures, one failure; begin and end of three.
    assert writes == 14

"""Requests of a rollup without work, counted in front of an S3 server: few, however long the lake is."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from jobs.rollup import looks, stage
from jobs.rollup.settings import RollupOptions, RollupSettings
from jobs.rollup.stage import RollupStage
from marquee.calendar import EVER, Period, hour
from marquee.engine.base import NO_ENGINE
from marquee.lake.manifest import Marker, digest_inputs, now_text
from marquee.lake.markers import Markers, publish
from marquee.runs.stage import run_stage
from marquee.settings.sections import S3Settings
from marquee.storage.base import in_parallel
from marquee.storage.s3 import S3Store
from tests.s3_proxy import S3Proxy
from tests.s3_server import BUCKET

HOURS = 20 * 24
NOW = datetime(2026, 1, 21, 1, tzinfo=UTC)


def settings_of(proxy: S3Proxy, folder: str) -> RollupSettings:
    """Return the settings of a rollup behind the proxy."""
    return RollupSettings(
        lake=f"s3://{BUCKET}/{folder}/lake",
        raw=f"s3://{BUCKET}/{folder}/raw",
        s3=S3Settings(endpoint_url=proxy.url, path_style=True),
        rollup=RollupOptions(viewer_key=SecretStr("a key that only tests have")),
    )


def idle(settings: RollupSettings, proxy: S3Proxy, now: datetime = NOW) -> Counter[str]:
    """Run a rollup that has nothing to do in a new process; return the number of its requests by method."""
    proxy.answers.clear()
    markers = Markers(settings.store, writes_index=True)
    report = run_stage(RollupStage(settings, markers, NO_ENGINE, lambda: now), markers)
    assert (report.changed, report.failures, report.unchanged) == (0, 0, HOURS)
    return Counter(method for method, _ in proxy.answers)


def test_rollup_without_work_takes_a_bounded_number_of_requests(
    s3_proxy: S3Proxy, s3_lake: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The markers of twenty days take one listing and one object; raw events, the last days and names above them."""
    for module in (looks, stage):
        monkeypatch.setattr(module, "FEW", 100)
    settings = settings_of(s3_proxy, tmp_path.name)
    raw, first = settings.open(settings.raw), hour("2026-01-01T00")
    hours = list(first.until(first.start + timedelta(hours=HOURS)))
    folder = "topics/plays/year=%Y/month=%m/day=%d/hour=%H"
    list(in_parallel(raw, lambda one: raw.put(f"{one.start:{folder}}/plays.json", b"x"), hours))
    planned = RollupStage(settings, Markers(s3_lake), NO_ENGINE, lambda: NOW)
    planned.periods(EVER)
    list(in_parallel(s3_lake, lambda one: publish(s3_lake, marker_of(planned, one), None), hours))

    every = idle(settings, s3_proxy)
    assert every["GET"] > HOURS  # each marker is read once: there is no index yet
    assert every["PUT"] == 2  # the index, and the looks at old days
    # The listing of markers, the index, the looks, the hours with data before and after (2), the names of years,
    # months and days (3), the eight days since a week before the last hour, and the requests to erase viewers.
    assert idle(settings, s3_proxy) == {"GET": 1 + 1 + 1 + 2 + 3 + 8 + 1}
    # Two hours later, it is the turn of one old day of twelve.
    later = idle(settings, s3_proxy, NOW + timedelta(hours=2))
    assert later == {"GET": 17 + 1, "PUT": 1}


def marker_of(planned: RollupStage, one: Period) -> Marker:
    """Return the marker of an hour made of its objects."""
    target = planned.target(one)
    assert target is not None
    return Marker(
        stage="rollup",
        period=str(one),
        generation=1,
        run_id="r1",
        code_version="0",
        definition_version=planned.definition_version,
        parameters=planned.parameters,
        inputs=target.inputs,
        inputs_digest=digest_inputs(target.inputs, planned.parameters, planned.definition_version),
        outputs=(),
        counts={"objects": {"read": 1}},
        started_at=now_text(NOW),
        finished_at=now_text(NOW),
    )

"""The choice of the engine: from the due bytes, the last runs, the limits of the pod, and the start of Spark."""

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from marquee.engine.choice import Load, choose, may_start_spark
from marquee.lake.manifest import Input, Marker
from marquee.machine import Place, engine_memory_mb, this_place
from marquee.runs.load import cpu_s_per_byte

MIB = 1 << 20
POD = Place(cores=1, memory_mb=1024)


def test_small_work_is_done_here() -> None:
    """An hour of 10 CPU seconds takes 10 s here, and 30 + 10 * 2.1 / 4 = 35 s on four cores of Spark."""
    found = choose(Load(100 * MIB, 0.1 / MIB), POD, 800, spark_cores=4, spark_start_s=30)
    assert (found.on_spark, found.memory_mb) == (False, 800)
    assert found.reason == (
        "100.0 MiB due, about 10 CPU s by the last runs: 10 s on 1 cores here, 35 s on 4 cores of Spark with its start"
    )


def test_large_work_goes_to_spark() -> None:
    """Work of 100 CPU seconds takes 100 s here and 83 s on Spark; on a pod of four cores it takes 25 s."""
    large = Load(1000 * MIB, 0.1 / MIB)
    assert choose(large, POD, 800, spark_cores=4, spark_start_s=30).on_spark
    assert not choose(large, replace(POD, cores=4), 800, spark_cores=4, spark_start_s=30).on_spark


def test_work_that_no_run_has_measured_is_guessed() -> None:
    """Without a run, a MiB takes 0.15 CPU seconds: 1,000 MiB 150 s here, 109 s on Spark."""
    found = choose(Load(1000 * MIB), POD, 800, spark_cores=4, spark_start_s=30)
    assert found.on_spark
    assert "about 150 CPU s by a rule of thumb: 150 s on 1 cores here, 109 s on 4 cores" in found.reason


def test_memory_of_the_pod_limits_the_engine() -> None:
    """Of 512 MiB the engine gets what its process leaves, 312; with 400 MiB of limit, 200 are too little to begin."""
    small = Load(MIB, 0.1 / MIB)
    assert choose(small, Place(1, 512), 800, 4, 30).memory_mb == 312
    assert choose(small, Place(1, inf), 800, 4, 30).memory_mb == 800
    found = choose(small, Place(1, 400), 800, 4, 30)
    assert found.on_spark
    assert found.reason.endswith("; this pod has too little memory, 400 MiB")


@pytest.mark.parametrize(
    ("files", "cores", "memory_mb"),
    [
        pytest.param({"cpu.max": "150000 100000\n", "memory.max": "1073741824\n"}, 1.5, 1024, id="limits"),
        pytest.param({"cpu.max": "max 100000\n", "memory.max": "max\n"}, 2, inf, id="no limits"),
        pytest.param({}, 2, inf, id="no cgroup"),
        pytest.param(
            {
                "cpu/cpu.cfs_quota_us": "50000",
                "cpu/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": "536870912",
            },
            0.5,
            512,
            id="version 1",
        ),
        pytest.param({"memory/memory.limit_in_bytes": "9223372036854771712"}, 2, inf, id="version 1 without limits"),
    ],
)
def test_place_is_what_the_cgroup_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: float, memory_mb: float
) -> None:
    """The limits are those of the cgroup, of either version; without them the machine's cores and no memory limit."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert this_place(8, tmp_path) == Place(cores, memory_mb)
    assert this_place(1, tmp_path).cores == min(cores, 1)


@pytest.mark.parametrize(
    ("limit_mb", "memory_mb"),
    [
        pytest.param(None, 800, id="none"),
        pytest.param(512, 312, id="512 - 200"),
        pytest.param(1024, 768, id="1024 - a quarter"),
        pytest.param(8192, 6144, id="8192 - a quarter"),
        pytest.param(300, 256, id="the least"),
    ],
)
def test_engine_takes_its_memory_from_the_limit(tmp_path: Path, limit_mb: int | None, memory_mb: int) -> None:
    """Where nobody sets the engine's memory, the process is left a quarter of the limit, and 200 MiB of a small one."""
    if limit_mb:
        (tmp_path / "memory.max").write_text(f"{limit_mb * MIB}\n")
    assert engine_memory_mb(tmp_path) == memory_mb


@pytest.mark.parametrize(
    ("kind", "conf", "may"),
    [
        ("local", {"spark.master": "yarn"}, False),
        ("spark", {}, True),
        ("auto", {}, False),
        ("auto", {"spark.master": "local[2]"}, False),
        ("auto", {"spark.master": "spark://host:7077"}, True),
        ("auto", {"spark.remote": "sc://host:15002"}, True),
    ],
)
def test_auto_is_spark_only_where_a_cluster_is_named(kind: str, conf: dict[str, str], may: bool) -> None:
    """Without a cluster in the configuration, ``auto`` is this machine: Spark on its cores would only cost more."""
    assert may_start_spark(kind, conf) == may


def marker(minute: int, size: int, cpu_s: float | None) -> Marker:
    """Return the marker of an hour with inputs of a size, which ended in a minute."""
    at, inputs = f"2026-01-05T15:{minute:02}:00+00:00", (Input("a", "1", size - 1), Input("b", "1", 1))
    hour = f"2026-01-05T{minute:02}"
    return Marker("rollup", hour, 1, "20260105T150000000000-1", "1", "1", {}, inputs, "", (), {}, at, at, cpu_s)


def test_largest_of_the_last_runs_tells_what_a_byte_takes() -> None:
    """Small hours take mostly their start, so the largest tells; runs unmeasured or before the last 24 do not."""
    hours = [marker(1, 1000, 2.0), marker(2, 10_000, 5.0), marker(3, 20_000, None)]
    assert cpu_s_per_byte(hours) == 5.0 / 10_000
    assert cpu_s_per_byte([*hours, *(marker(minute, 100, 1.0) for minute in range(10, 34))]) == 1.0 / 100
    assert cpu_s_per_byte([]) is None
    assert cpu_s_per_byte([marker(1, 1000, None)]) is None


def test_inputs_of_earlier_runs_are_not_read() -> None:
    """Of 30 measured runs only the last 24 are read in full, and of these the largest tells; the six before are not."""

    class Unread:
        def fields(self, name: str) -> Mapping[str, object]:
            raise AssertionError(name)

    times = [f"2026-01-05T14:{minute:02}:00+00:00" for minute in range(6)]
    earlier = [Marker.known({"cpu_seconds": 9.0, "finished_at": at, "later": Unread()}) for at in times]
    last = [marker(minute, 100 + minute, 1.0) for minute in range(24)]
    assert cpu_s_per_byte([*last, *earlier]) == 1.0 / 123
    with pytest.raises(AssertionError, match="inputs"):
        cpu_s_per_byte([*last[1:], *earlier])

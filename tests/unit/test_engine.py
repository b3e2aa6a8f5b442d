"""Engines: the same kernels give the same values, in the same order, with the same errors, here and on Spark."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs.rollup.kernel import reduce_key
from marquee.engine import base as engines
from marquee.engine.base import Engine, cpu_seconds, load
from marquee.engine.duckdb import open_database
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.engine.spark import SparkEngine
from marquee.errors import BadInputError, ConfigError, TryAgainError

KERNELS = "tests.sample_kernels"


@pytest.fixture(autouse=True)
def kernels_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let kernels come from the tests instead of from Marquee."""
    monkeypatch.setattr(engines, "KERNELS", "tests.")


@pytest.fixture
def local(tmp_path: Path) -> LocalEngine:
    """Two tasks at a time, 256 MiB for both."""
    return LocalEngine(EngineOptions(workers=2, memory_mb=256, scratch=tmp_path))


@pytest.fixture(params=["local", pytest.param("spark", marks=pytest.mark.spark)])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Either engine, with 128 MiB a task."""
    chosen: Engine = request.getfixturevalue("local" if request.param == "local" else "spark_engine")
    return chosen


def units(*numbers: int) -> list[dict[str, int]]:
    """Return a unit of work for each number."""
    return [{"number": number} for number in numbers]


def test_values_come_in_the_order_of_units(engine: Engine) -> None:
    """Also when the first unit takes longest."""
    slow = {"number": 5, "seconds": 0.2}
    assert engine.map(f"{KERNELS}:double", [slow, *units(1, 4, 2)]) == [10, 2, 8, 4]


def test_values_come_in_the_order_of_keys(engine: Engine) -> None:
    """Each reducer gets every table of its key, and the parameters."""
    # 0 to 3: key 0 has 0 and 3, key 1 has 1, key 2 has 2. 0 to 4: key 0 has 0 and 3, key 1 has 1 and 4, key 2 has 2.
    values = engine.map_reduce(f"{KERNELS}:split", f"{KERNELS}:add", units(4, 5), {"factor": 10})
    assert values == [(0, 2, 60), (1, 2, 60), (2, 2, 40)]


def test_cpu_time_of_tasks_is_counted_wherever_they_run(engine: Engine) -> None:
    """Two tasks of 0.3 CPU seconds are that of this process, or told by Spark's workers; waiting is not."""
    before = cpu_seconds()
    engine.map(f"{KERNELS}:burn", [{"seconds": 0.3}, {"seconds": 0.3}])
    burnt = cpu_seconds()
    engine.map(f"{KERNELS}:double", [{"number": 1, "seconds": 0.5}])
    assert 0.6 <= burnt - before < 3
    assert cpu_seconds() - burnt < 0.4


def test_no_units_give_no_values(engine: Engine) -> None:
    """An empty list is no error."""
    assert engine.map(f"{KERNELS}:double", []) == []
    assert engine.map_reduce(f"{KERNELS}:split", f"{KERNELS}:add", [], {"factor": 1}) == []


def test_no_tables_give_no_values(engine: Engine) -> None:
    """Without a key there is nothing to reduce."""
    assert engine.map_reduce(f"{KERNELS}:nothing", f"{KERNELS}:add", units(1, 2), {"factor": 1}) == []


def test_error_of_ours_comes_out_of_a_kernel(engine: Engine) -> None:
    """With its class, which decides the exit code, and its text; of several, that of the first unit."""
    with pytest.raises(BadInputError, match=r"^3 is odd$"):
        engine.map(f"{KERNELS}:fail", units(2, 3, 4, 5))


def test_error_of_ours_comes_out_of_a_mapper(engine: Engine) -> None:
    """Nothing is reduced then, whatever it had sent before."""
    failing = [{"number": 3}, {"number": 4, "fails": True}]
    with pytest.raises(TryAgainError, match=r"^mapper 4 failed$"):
        engine.map_reduce(f"{KERNELS}:split", f"{KERNELS}:add", failing, {"factor": 1})


def test_error_of_ours_comes_out_of_a_reducer(engine: Engine) -> None:
    """The same for a reducer."""
    with pytest.raises(BadInputError, match=r"^reducer 1 failed$"):
        engine.map_reduce(f"{KERNELS}:split", f"{KERNELS}:add", units(4), {"factor": 1, "fails": 1})


def test_unknown_error_ends_the_run(engine: Engine) -> None:
    """Locally it is the error itself; Spark wraps it into its own."""
    with pytest.raises(Exception, match="by zero"):
        engine.map(f"{KERNELS}:fail", units(2, 0))


def test_task_has_a_scratch_folder_and_a_share(engine: Engine) -> None:
    """Every task has an empty folder of its own, gone afterwards, and DuckDB keeps to one thread and its share."""
    seen = engine.map(f"{KERNELS}:look_around", units(1, 2, 3))
    folders = {one["scratch"] for one in seen}
    assert [one["before"] for one in seen] == [[], [], []]
    assert len(folders) == 3
    assert not any(Path(folder).exists() for folder in folders)
    for one in seen:
        assert one["memory_mb"] == 128
        assert (one["threads"], one["memory_limit"]) == ((1,), ("128.0 MiB",))
        assert one["temp_directory"][0].startswith(f"{Path(one['scratch']).parent}/marquee-spill-")


@pytest.mark.spark
def test_spark_tasks_use_the_scratch_folder_of_the_settings(spark_engine: SparkEngine, tmp_path: Path) -> None:
    """On whichever machine a task runs; where that has no such folder, the settings are wrong, and not Marquee."""
    (there,) = SparkEngine(spark_engine._context, 128, tmp_path).map(f"{KERNELS}:look_around", units(1))
    assert Path(there["scratch"]).parent == tmp_path
    nowhere = SparkEngine(spark_engine._context, 128, tmp_path / "missing")
    with pytest.raises(ConfigError, match=r"MARQUEE_ENGINE__SCRATCH=.*/missing: no such folder"):
        nowhere.map(f"{KERNELS}:look_around", units(1))
    with pytest.raises(ConfigError, match=r"MARQUEE_ENGINE__SCRATCH=.*/missing: no such folder"):
        nowhere.map_reduce(f"{KERNELS}:split", f"{KERNELS}:add", units(1), {})


@pytest.mark.parametrize("path", ["os:system", "jobs:main", "jobsy.rollup:parse", "tests.sample_kernels:double"])
def test_kernel_of_somebody_else_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Only Marquee's own modules can be named, and the name is checked before any work."""
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"is no kernel: expected jobs.<module>:<function>"):
        engine.map(path, units(1))
    with pytest.raises(ValueError, match="is no kernel"):
        engine.map_reduce(path, path, units(1), {})


def test_kernel_is_found_by_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Module and function, with a colon between them."""
    monkeypatch.undo()
    assert load("jobs.rollup.kernel:reduce_key") is reduce_key


# This machine alone.


@pytest.mark.parametrize(
    ("memory_mb", "files"),
    [
        # A quarter of 1 MiB holds no table of 400,000 bytes, of 6 MiB three of the eight, of 64 MiB all.
        pytest.param(1, 8, id="nothing fits"),
        pytest.param(6, 5, id="some fit"),
        pytest.param(64, 0, id="all fit"),
    ],
)
def test_shuffle_spills_what_does_not_fit(tmp_path: Path, memory_mb: int, files: int) -> None:
    """Beyond a quarter of the memory tables wait in files; the values are the same, and nothing is left behind."""
    engine = LocalEngine(EngineOptions(workers=1, memory_mb=memory_mb, scratch=tmp_path))
    values = engine.map_reduce(f"{KERNELS}:blocks", f"{KERNELS}:add_and_look", units(1, 2, 3, 4), {})
    assert values == [(10 * 50_000, files)] * 2
    assert list(tmp_path.iterdir()) == []


def test_error_stops_what_has_not_begun(tmp_path: Path) -> None:
    """Units still waiting are not begun: of 100 that take 20 ms each, one or two have, on one worker."""
    engine = LocalEngine(EngineOptions(workers=1, memory_mb=64))
    later = [{"number": 2 * number, "seconds": 0.02, "folder": str(tmp_path)} for number in range(1, 101)]
    with pytest.raises(BadInputError, match=r"^1 is odd$"):
        engine.map(f"{KERNELS}:fail", [{"number": 1}, *later])
    assert len(list(tmp_path.iterdir())) < 50


def test_fork_survives_the_databases_of_other_threads() -> None:
    """Spark's start forks this process: the child must not take down what belongs to threads that it does not have."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: open_database().close()).result()
        child = subprocess.run(["true"], preexec_fn=lambda: None, check=False)
    assert child.returncode == 0

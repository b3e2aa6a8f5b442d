"""Engines: the same kernels give the same values, in the same order, with the same errors, here and on Spark."""

import os
import subprocess
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.rollup.reduce import reduce_key
from marquee.engine.base import Engine, cpu_seconds, kernel_path, kernels_of, load_kernel
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.errors import BadInputError, MarqueeError, TryAgainError
from marquee.machine import USUAL_MEMORY_MB
from tests import sample_kernels as kernels
from tests.sample_kernels import Number, Sum


@pytest.fixture(autouse=True)
def kernels_of_tests() -> Iterator[None]:
    """Allow kernels from the tests."""
    with kernels_of("tests"):
        yield


@pytest.fixture
def local(tmp_path: Path) -> LocalEngine:
    """A local engine with two tasks at a time and 256 MiB for both."""
    return LocalEngine(EngineOptions(workers=2, memory_mb=256, scratch=tmp_path))


@pytest.fixture
def engine(local: LocalEngine) -> Engine:
    """An engine with 128 MiB a task; tests/integration/test_on_spark.py runs the same tests on Spark."""
    return local


def units(*numbers: int) -> list[Number]:
    """Return a unit of work for each number."""
    return [Number(number) for number in numbers]


def test_values_come_in_the_order_of_units(engine: Engine) -> None:
    """Values come in the order of the units, even if the first unit takes longest."""
    slow = Number(5, seconds=0.2)
    assert engine.map(kernels.double, [slow, *units(1, 4, 2)]) == [10, 2, 8, 4]


def test_values_come_in_the_order_of_keys(engine: Engine) -> None:
    """Values come in the order of the keys; each reducer gets every table of its key and the parameters."""
    # 0 to 3: key 0 has 0 and 3, key 1 has 1, key 2 has 2. 0 to 4: key 0 has 0 and 3, key 1 has 1 and 4, key 2 has 2.
    values = kernels.map_reduce(engine, kernels.split, kernels.add, units(4, 5), Sum(factor=10))
    assert values == [(0, 2, 60), (1, 2, 60), (2, 2, 40)]


def test_cpu_time_of_tasks_is_counted_wherever_they_run(engine: Engine) -> None:
    """The CPU time of tasks is counted in this process and in the workers of Spark; waiting is not."""
    before = cpu_seconds()
    engine.map(kernels.burn, [Number(seconds=0.3), Number(seconds=0.3)])
    burnt = cpu_seconds()
    engine.map(kernels.double, [Number(1, seconds=0.5)])
    assert 0.6 <= burnt - before < 3
    assert cpu_seconds() - burnt < 0.4


def test_no_units_give_no_values(engine: Engine) -> None:
    """An empty list of units gives an empty list of values."""
    assert engine.map(kernels.double, []) == []
    assert kernels.map_reduce(engine, kernels.split, kernels.add, [], Sum()) == []


def test_no_tables_give_no_values(engine: Engine) -> None:
    """Mappers that emit no tables give an empty list of values."""
    assert kernels.map_reduce(engine, kernels.nothing, kernels.add, units(1, 2), Sum()) == []


def test_error_of_ours_comes_out_of_a_kernel(engine: Engine) -> None:
    """An error of Marquee in a kernel keeps its class and its text; of several, the one of the first unit is raised."""
    with pytest.raises(BadInputError, match=r"^3 is odd$"):
        engine.map(kernels.fail, units(2, 3, 4, 5))


def test_error_of_ours_comes_out_of_a_mapper(engine: Engine) -> None:
    """An error of Marquee in a mapper is raised, and nothing is reduced."""
    failing = [Number(3), Number(4, fails=True)]
    with pytest.raises(TryAgainError, match=r"^mapper 4 failed$"):
        kernels.map_reduce(engine, kernels.split, kernels.add, failing, Sum())


def test_error_of_ours_comes_out_of_a_reducer(engine: Engine) -> None:
    """An error of Marquee in a reducer is raised with its class and its text."""
    with pytest.raises(BadInputError, match=r"^reducer 1 failed$"):
        kernels.map_reduce(engine, kernels.split, kernels.add, units(4), Sum(fails=1))


def test_tables_of_reducers_are_merged_in_one_task(engine: Engine) -> None:
    """A merger gets the tables of all reducers that have one, and values come in the order of the keys."""
    # 0 to 3 and 0 to 4: key 0 has 0, 3, 0 and 3, key 1 has 1, 1 and 4; key 2 has no table for the merger.
    values, merged = engine.map_reduce_merge(
        kernels.split, kernels.add_and_keep, kernels.total, units(4, 5), Sum(factor=10)
    )
    assert values == [(0, 2, 60), (1, 2, 60), (2, 2, 40)]
    assert merged == (2, 120)


def test_nothing_to_merge_gives_none(engine: Engine) -> None:
    """Without units, without tables of mappers, or without tables of reducers nothing is merged."""
    assert engine.map_reduce_merge(kernels.split, kernels.add_and_keep, kernels.total, [], Sum()) == ([], None)
    assert engine.map_reduce_merge(kernels.nothing, kernels.add_and_keep, kernels.total, units(1), Sum()) == ([], None)
    values, merged = engine.map_reduce_merge(kernels.only_two, kernels.add_and_keep, kernels.total, units(5), Sum())
    assert (values, merged) == ([(2, 1, 5)], None)


def test_nothing_is_merged_after_a_failure(engine: Engine, tmp_path: Path) -> None:
    """After the failure of a reducer or of a mapper the merger does not run; its own failure keeps its class."""
    with pytest.raises(BadInputError, match=r"^reducer 1 failed$"):
        engine.map_reduce_merge(
            kernels.split, kernels.add_and_keep, kernels.total, units(4), Sum(fails=1, folder=tmp_path)
        )
    with pytest.raises(TryAgainError, match=r"^mapper 4 failed$"):
        engine.map_reduce_merge(
            kernels.split, kernels.add_and_keep, kernels.total, [Number(4, fails=True)], Sum(folder=tmp_path)
        )
    assert not (tmp_path / "merged").exists()
    with pytest.raises(TryAgainError, match=r"^the merger failed$"):
        engine.map_reduce_merge(kernels.split, kernels.add_and_keep, kernels.fail_to_merge, units(4), Sum())


def test_unknown_error_ends_the_run(engine: Engine) -> None:
    """An unknown error ends the run: locally as it is, on Spark as one of Marquee with its class and place."""
    expected = "by zero" if engine.name == "local" else r"^builtins\.ZeroDivisionError at \w+\.py:\d+ in \w+\."
    with pytest.raises(Exception, match=expected) as error:
        engine.map(kernels.fail, units(2, 0))
    assert "ZeroDivisionError: integer division" in "".join(
        traceback.format_exception(error.value)
    )  # for the log of level debug


def test_task_has_a_scratch_folder_and_a_share(engine: Engine) -> None:
    """Each task has an empty scratch folder of its own, which is removed, and DuckDB uses one thread and its share."""
    seen = engine.map(kernels.look_around, units(1, 2, 3))
    folders = {one["scratch"] for one in seen}
    assert [one["before"] for one in seen] == [[], [], []]
    assert len(folders) == 3
    assert not any(Path(folder).exists() for folder in folders)
    for one in seen:
        assert one["memory_mb"] == 128
        assert (one["threads"], one["memory_limit"]) == ((1,), ("128.0 MiB",))
        assert one["temp_directory"][0].startswith(f"{Path(one['scratch']).parent}/marquee-spill-")


NOT_OURS = [
    pytest.param(os.system, id="a builtin"),
    pytest.param(subprocess.run, id="another package's"),
    pytest.param(lambda unit, _: unit, id="a lambda"),
    pytest.param(kernels.Holder.double, id="a method"),
    pytest.param(kernels.Number, id="a class"),
    pytest.param("jobs.rollup.reduce:reduce_key", id="a text"),
]


@pytest.mark.parametrize("kernel", NOT_OURS)
def test_kernel_of_somebody_else_is_refused(engine: Engine, kernel: Callable[..., Any]) -> None:
    """A kernel must be a function of a module of Marquee under its own name; anything else is refused at once."""
    with pytest.raises(
        ValueError, match=r"cannot be a kernel\. Use a top-level function of a module below jobs or marquee"
    ):
        engine.map(kernel, units(1))
    with pytest.raises(ValueError, match="cannot be a kernel"):
        kernels.map_reduce(engine, kernel, kernels.add, units(1), Sum())
    with pytest.raises(ValueError, match="cannot be a kernel"):
        kernels.map_reduce(engine, kernels.split, kernel, units(1), Sum())
    with pytest.raises(ValueError, match="cannot be a kernel"):
        engine.map_reduce_merge(kernels.split, kernels.add_and_keep, kernel, units(1), Sum())


def test_kernels_of_a_package_are_accepted_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels of an allowed package are accepted; a package whose name begins with the same letters is not."""
    assert kernel_path(kernels.double) == "tests.sample_kernels:double"
    monkeypatch.setattr(kernels.double, "__module__", "testsome.kernels")
    with pytest.raises(ValueError, match=r"below jobs or marquee or tests$"):
        kernel_path(kernels.double)


def test_hidden_function_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function whose name in its module means another function is refused, since workers would find the other one."""
    double = kernels.double
    monkeypatch.setattr(kernels, "double", kernels.burn)
    with pytest.raises(ValueError, match="cannot be a kernel"):
        kernel_path(double)


def test_kernel_is_found_by_its_path() -> None:
    """The path of a kernel is its module and function, separated by a colon."""
    assert kernel_path(reduce_key) == "jobs.rollup.reduce:reduce_key"
    assert load_kernel("jobs.rollup.reduce:reduce_key") is reduce_key


@pytest.mark.parametrize("number", [1, 2], ids=["an error of ours", "another error"])
def test_error_with_a_unit_shows_no_key(engine: Engine, number: int) -> None:
    """An error that has a unit in it shows the number of the unit, but not its secret."""
    with pytest.raises((BadInputError, ValueError, MarqueeError)) as error:
        engine.map(kernels.fail_with_unit, units(number))
    texts = "".join(traceback.format_exception(error.value)) + str(error.value) + repr(error.value)
    assert f"Number(number={number}," in texts
    assert kernels.SECRET not in texts


# The local engine only.


@pytest.mark.parametrize(
    ("memory_mb", "files"),
    [
        # A quarter of 1 MiB holds none of the eight tables of 400,000 bytes, of 6 MiB three, of 64 MiB all.
        pytest.param(1, 8, id="nothing fits"),
        pytest.param(6, 5, id="some fit"),
        pytest.param(64, 0, id="all fit"),
    ],
)
def test_shuffle_spills_what_does_not_fit(tmp_path: Path, memory_mb: int, files: int) -> None:
    """Tables above a quarter of the memory are spilled into files, with the same values and no files left."""
    engine = LocalEngine(EngineOptions(workers=1, memory_mb=memory_mb, scratch=tmp_path))
    values = kernels.map_reduce(engine, kernels.blocks, kernels.add_and_look, units(1, 2, 3, 4), Sum())
    assert values == [(10 * 50_000, files)] * 2
    (own,) = tmp_path.iterdir()  # the folder of this process, which it holds until its end
    assert [one.name for one in own.iterdir()] == [".lock"]


def test_error_stops_what_has_not_begun(tmp_path: Path) -> None:
    """After an error, units that still wait are not started."""
    engine = LocalEngine(EngineOptions(workers=1, memory_mb=64))
    later = [Number(2 * number, seconds=0.02, folder=tmp_path) for number in range(1, 101)]
    with pytest.raises(BadInputError, match=r"^1 is odd$"):
        engine.map(kernels.fail, [Number(1), *later])
    assert len(list(tmp_path.iterdir())) < 50


@pytest.mark.parametrize(("memory_mb", "kept"), [(USUAL_MEMORY_MB, "-1"), (USUAL_MEMORY_MB - 1, None)])
def test_local_engine_keeps_freed_memory_where_there_is_enough(
    memory_mb: int, kept: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the usual memory, Arrow keeps freed memory for the next buffers; a small pod gets it back."""
    monkeypatch.setenv("MIMALLOC_PURGE_DELAY", "")  # so that it is unset again after the test
    monkeypatch.delenv("MIMALLOC_PURGE_DELAY")
    LocalEngine(EngineOptions(1, memory_mb))
    assert os.environ.get("MIMALLOC_PURGE_DELAY") == kept

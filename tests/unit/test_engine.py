"""Engines: the same kernels give the same values, in the same order, with the same errors, here and on Spark."""

import os
import subprocess
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.rollup.kernel import reduce_key
from marquee.engine.base import Engine, cpu_seconds, kernel_path, kernels_of, load_kernel
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.errors import BadInputError, TryAgainError
from tests import sample_kernels as kernels
from tests.sample_kernels import Number, Sum


@pytest.fixture(autouse=True)
def kernels_of_tests() -> Iterator[None]:
    """Let kernels come from the tests, too."""
    with kernels_of("tests"):
        yield


@pytest.fixture
def local(tmp_path: Path) -> LocalEngine:
    """Two tasks at a time, 256 MiB for both."""
    return LocalEngine(EngineOptions(workers=2, memory_mb=256, scratch=tmp_path))


@pytest.fixture
def engine(local: LocalEngine) -> Engine:
    """An engine with 128 MiB a task: tests/integration/test_on_spark.py has the same tests on Spark."""
    return local


def units(*numbers: int) -> list[Number]:
    """Return a unit of work for each number."""
    return [Number(number) for number in numbers]


def test_values_come_in_the_order_of_units(engine: Engine) -> None:
    """Also when the first unit takes longest."""
    slow = Number(5, seconds=0.2)
    assert engine.map(kernels.double, [slow, *units(1, 4, 2)]) == [10, 2, 8, 4]


def test_values_come_in_the_order_of_keys(engine: Engine) -> None:
    """Each reducer gets every table of its key, and the parameters."""
    # 0 to 3: key 0 has 0 and 3, key 1 has 1, key 2 has 2. 0 to 4: key 0 has 0 and 3, key 1 has 1 and 4, key 2 has 2.
    values = engine.map_reduce(kernels.split, kernels.add, units(4, 5), Sum(factor=10))
    assert values == [(0, 2, 60), (1, 2, 60), (2, 2, 40)]


def test_cpu_time_of_tasks_is_counted_wherever_they_run(engine: Engine) -> None:
    """Two tasks of 0.3 CPU seconds are that of this process, or told by Spark's workers; waiting is not."""
    before = cpu_seconds()
    engine.map(kernels.burn, [Number(seconds=0.3), Number(seconds=0.3)])
    burnt = cpu_seconds()
    engine.map(kernels.double, [Number(1, seconds=0.5)])
    assert 0.6 <= burnt - before < 3
    assert cpu_seconds() - burnt < 0.4


def test_no_units_give_no_values(engine: Engine) -> None:
    """An empty list is no error."""
    assert engine.map(kernels.double, []) == []
    assert engine.map_reduce(kernels.split, kernels.add, [], Sum()) == []


def test_no_tables_give_no_values(engine: Engine) -> None:
    """Without a key there is nothing to reduce."""
    assert engine.map_reduce(kernels.nothing, kernels.add, units(1, 2), Sum()) == []


def test_error_of_ours_comes_out_of_a_kernel(engine: Engine) -> None:
    """With its class, which decides the exit code, and its text; of several, that of the first unit."""
    with pytest.raises(BadInputError, match=r"^3 is odd$"):
        engine.map(kernels.fail, units(2, 3, 4, 5))


def test_error_of_ours_comes_out_of_a_mapper(engine: Engine) -> None:
    """Nothing is reduced then, whatever it had sent before."""
    failing = [Number(3), Number(4, fails=True)]
    with pytest.raises(TryAgainError, match=r"^mapper 4 failed$"):
        engine.map_reduce(kernels.split, kernels.add, failing, Sum())


def test_error_of_ours_comes_out_of_a_reducer(engine: Engine) -> None:
    """The same for a reducer."""
    with pytest.raises(BadInputError, match=r"^reducer 1 failed$"):
        engine.map_reduce(kernels.split, kernels.add, units(4), Sum(fails=1))


def test_unknown_error_ends_the_run(engine: Engine) -> None:
    """Locally it is the error itself; Spark wraps it into its own."""
    with pytest.raises(Exception, match="by zero"):
        engine.map(kernels.fail, units(2, 0))


def test_task_has_a_scratch_folder_and_a_share(engine: Engine) -> None:
    """Every task has an empty folder of its own, gone afterwards, and DuckDB keeps to one thread and its share."""
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
    pytest.param("jobs.rollup.kernel:reduce_key", id="a text"),
]


@pytest.mark.parametrize("kernel", NOT_OURS)
def test_kernel_of_somebody_else_is_refused(engine: Engine, kernel: Callable[..., Any]) -> None:
    """Only a function of a module of ours that has it under its name is a kernel; any other is refused at once."""
    with pytest.raises(
        ValueError, match=r"cannot be a kernel\. Use a top-level function of a module below jobs or marquee"
    ):
        engine.map(kernel, units(1))
    with pytest.raises(ValueError, match="cannot be a kernel"):
        engine.map_reduce(kernel, kernels.add, units(1), Sum())
    with pytest.raises(ValueError, match="cannot be a kernel"):
        engine.map_reduce(kernels.split, kernel, units(1), Sum())


def test_kernels_of_a_package_are_accepted_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the tests are, in here; a package whose name only begins like one of ours is another."""
    assert kernel_path(kernels.double) == "tests.sample_kernels:double"
    monkeypatch.setattr(kernels.double, "__module__", "testsome.kernels")
    with pytest.raises(ValueError, match=r"below jobs or marquee or tests$"):
        kernel_path(kernels.double)


def test_hidden_function_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function whose name in its module is another's would not be the one that Spark's workers find."""
    double = kernels.double
    monkeypatch.setattr(kernels, "double", kernels.burn)
    with pytest.raises(ValueError, match="cannot be a kernel"):
        kernel_path(double)


def test_kernel_is_found_by_its_path() -> None:
    """A path is module and function, with a colon between them."""
    assert kernel_path(reduce_key) == "jobs.rollup.kernel:reduce_key"
    assert load_kernel("jobs.rollup.kernel:reduce_key") is reduce_key


@pytest.mark.parametrize("number", [1, 2], ids=["an error of ours", "another error"])
def test_error_with_a_unit_shows_no_key(engine: Engine, number: int) -> None:
    """A secret in a unit is in no text of a failing task, nor of any error behind it; its number is."""
    with pytest.raises(Exception, match=rf"Number\(number={number},") as error:
        engine.map(kernels.fail_with_unit, units(number))
    texts = "".join(traceback.format_exception(error.value)) + str(error.value) + repr(error.value)
    assert kernels.SECRET not in texts


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
    values = engine.map_reduce(kernels.blocks, kernels.add_and_look, units(1, 2, 3, 4), Sum())
    assert values == [(10 * 50_000, files)] * 2
    assert list(tmp_path.iterdir()) == []


def test_error_stops_what_has_not_begun(tmp_path: Path) -> None:
    """Units still waiting are not begun: of 100 that take 20 ms each, one or two have, on one worker."""
    engine = LocalEngine(EngineOptions(workers=1, memory_mb=64))
    later = [Number(2 * number, seconds=0.02, folder=tmp_path) for number in range(1, 101)]
    with pytest.raises(BadInputError, match=r"^1 is odd$"):
        engine.map(kernels.fail, [Number(1), *later])
    assert len(list(tmp_path.iterdir())) < 50

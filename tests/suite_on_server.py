"""Tests of every kind of engine, on the server of Spark Connect or of Sail at the URL in ENGINE_TEST_SERVER.

``tests/integration/test_on_servers.py`` starts the servers, and runs this file with the client of Spark Connect. It
says in ENGINE_TEST_HOLDS whether the server's process itself runs tasks and holds the shuffle.
"""

import os
from pathlib import Path

import pytest

from marquee.engine.base import Engine
from marquee.engine.spark import SparkEngine, start_spark
from marquee.errors import ConfigError
from marquee.lake import keys
from marquee.storage.local import LocalStore
from tests import sample_kernels as kernels
from tests.helpers_rollup import GOOD, HOUR, World, line, many, spoilt
from tests.oracle.lake import digests
from tests.suites import suite_with
from tests.unit import test_engine

globals().update(suite_with({"engine", "kernels_of_tests"}, test_engine))


@pytest.fixture(scope="session")
def server_engine() -> SparkEngine:
    """An engine on the server, with 128 MiB a task."""
    return start_spark({"spark.remote": os.environ["ENGINE_TEST_SERVER"]}, 128)


@pytest.fixture
def engine(server_engine: SparkEngine) -> Engine:
    """The engine of the suite."""
    return server_engine


def test_large_tables_arrive(server_engine: SparkEngine) -> None:
    """All 400 MiB of tables that a mapper sends arrive, and no worker of Spark holds them; Sail's process does."""
    (rows, reducer_mb), (_, mapper_mb) = kernels.map_reduce(
        server_engine, kernels.much, kernels.most, test_engine.units(1), kernels.Sum()
    )
    assert rows == 400 << 17
    if os.environ["ENGINE_TEST_HOLDS"] == "false":
        assert max(reducer_mb, mapper_mb) < 300


def test_rollup_makes_the_same_bytes(server_engine: SparkEngine, tmp_path: Path) -> None:
    """The rollup makes the same objects as on this machine, and the oracle's rows; bad input fails alike."""
    raw = LocalStore(tmp_path / "raw")
    worlds = [World(raw, LocalStore(tmp_path / name), reject_share=1) for name in ("local", "server")]
    worlds[0].put("a.json", *many(20), b"{", b"\xff", b"", line(country="kr"))
    worlds[0].put("b.json.gz", *many(30), spoilt(b'"u1"', rb'"\u0075\"1"'))
    worlds[0].put("c.json", GOOD, period=HOUR.next().next())
    worlds[0].put("d.json", b"x", b"x", period=HOUR.next().next())
    for report in (worlds[0].run(), worlds[1].run(engine=server_engine)):
        assert (report.changed, report.failures, report.exit_code) == (2, 1, 65)
    assert worlds[1].rolled() == worlds[1].expected()
    assert digests(worlds[1].lake, keys.ROLLUP) == digests(worlds[0].lake, keys.ROLLUP)
    assert worlds[1].failures() == worlds[0].failures()


def test_missing_scratch_folder_is_an_error_of_settings(server_engine: SparkEngine, tmp_path: Path) -> None:
    """A scratch folder that is missing where the server runs tasks is an error of settings."""
    nowhere = SparkEngine(server_engine.session, 128, tmp_path / "missing")
    with pytest.raises(ConfigError, match=r"MARQUEE_ENGINE__SCRATCH=.*/missing: the folder does not exist"):
        nowhere.map(kernels.look_around, test_engine.units(1))

"""Unit tests start nothing: the guard in conftest.py stops one that tries."""

import socket
import subprocess

import pytest


def test_process_is_refused() -> None:
    """A test that starts a process fails, and is told where it belongs."""
    with pytest.raises(pytest.fail.Exception, match="starts no process: move the test to tests/integration"):
        subprocess.run(["true"], check=False)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_server_is_refused(family: socket.AddressFamily) -> None:
    """A test that listens at a port fails, whatever it would serve."""
    with (
        socket.socket(family) as listening,
        pytest.raises(pytest.fail.Exception, match="starts no server: move the test to tests/integration"),
    ):
        listening.bind(("localhost", 0))


@pytest.mark.parametrize(
    "fixture", ["s3_server", "s3_options", "s3_lake", "s3_proxy", "mariadb", "mysql_mart", "spark_engine"]
)
def test_fixture_that_starts_a_server_is_refused(request: pytest.FixtureRequest, fixture: str) -> None:
    """A unit test cannot ask for a server, nor for Spark, by way of a fixture."""
    with pytest.raises(pytest.fail.Exception, match="a unit test starts no server"):
        request.getfixturevalue(fixture)

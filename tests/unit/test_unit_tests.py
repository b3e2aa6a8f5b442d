"""Unit tests start nothing: the guard in conftest.py fails a test that tries."""

import socket
import subprocess

import pytest


def test_process_is_refused() -> None:
    """A unit test that starts a process fails, and the message says where it belongs."""
    with pytest.raises(pytest.fail.Exception, match="starts no process: move the test to tests/integration"):
        subprocess.run(["true"], check=False)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_server_is_refused(family: socket.AddressFamily) -> None:
    """A unit test that listens at a port fails."""
    with (
        socket.socket(family) as listening,
        pytest.raises(pytest.fail.Exception, match="starts no server: move the test to tests/integration"),
    ):
        listening.bind(("localhost", 0))


@pytest.mark.parametrize(
    "fixture", ["s3_server", "s3_options", "s3_lake", "s3_proxy", "mariadb", "mysql", "mysql_mart", "spark_engine"]
)
def test_fixture_that_starts_a_server_is_refused(request: pytest.FixtureRequest, fixture: str) -> None:
    """A unit test that uses the fixture of a server or of Spark fails."""
    with pytest.raises(pytest.fail.Exception, match="a unit test starts no server"):
        request.getfixturevalue(fixture)

"""SIGTERM and Ctrl-C end a run within five seconds wherever it is, and leave nothing but what was published."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marquee.storage.s3 import S3Store
from tests.faults.processes import AT
from tests.faults.test_deaths import ONE, THREE, TWO, Lake
from tests.pushgateway import pushgateway
from tests.s3_proxy import Fault, S3Proxy
from tests.s3_server import BUCKET
from tests.schedule_service import ScheduleService, raw, schedule_service
from tests.small_world import CASE, DAY, SmallWorld

WITHIN_S = 5.0
AT_ONCE_S = 2.5
"""Less than the time after which a process that does not stop is ended: the task itself has stopped."""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    return Lake(tmp_path)


def stopped(lake: Lake, sent: signal.Signals, *, alone: bool = False) -> tuple[int, float]:
    """Send a signal to a run that has come to the place; return its exit code and the seconds until its end."""
    process = lake.start(alone=alone)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if line.strip() == AT:
                break
        time.sleep(0.2)  # until the call has begun
        began = time.monotonic()
        process.send_signal(sent)
        process.communicate(timeout=30)
        return process.returncode, time.monotonic() - began
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("alone", [False, True], ids=["with a parent", "alone"])
@pytest.mark.parametrize(
    ("word", "at_once"),
    [
        pytest.param("query!", True, id="a query of a task"),
        pytest.param("merge!", True, id="a query of the main thread"),
        pytest.param("pause!", True, id="a pause between attempts"),
        pytest.param("python!", False, id="a loop in Python"),
        pytest.param("fifo!", False, id="a read that blocks"),
    ],
)
def test_sigterm_ends_a_run_in_time(lake: Lake, word: str, *, at_once: bool, alone: bool) -> None:
    """SIGTERM ends a run with 143; what was published stands, scratch space is clean, and no death is counted."""
    lake.files(one="a", two=word, three="b")
    code, seconds = stopped(lake, signal.SIGTERM, alone=alone)
    assert code == 143
    assert seconds < (AT_ONCE_S if at_once else WITHIN_S)
    assert (lake.made(), lake.reasons(), lake.begun(), lake.scratch()) == ([ONE], {}, {}, [])
    lake.files(two="c")
    assert lake.run()[0] == 0
    assert lake.made() == [ONE, TWO, THREE]


def test_ctrl_c_ends_a_run_in_time(lake: Lake) -> None:
    """Ctrl-C does the same, with 130."""
    lake.files(one="a", two="fifo!")
    code, seconds = stopped(lake, signal.SIGINT)
    assert (code, seconds < WITHIN_S) == (130, True)
    assert (lake.made(), lake.reasons(), lake.begun(), lake.scratch()) == ([ONE], {}, {}, [])


def test_process_that_cannot_react_is_killed_in_time(lake: Lake) -> None:
    """A call that holds Python's lock for ever stops every thread of the process; then its parent kills it."""
    lake.files(one="a", two="compute!")
    code, seconds = stopped(lake, signal.SIGTERM)
    assert (code, seconds < WITHIN_S) == (143, True)
    assert (lake.made(), lake.reasons(), lake.scratch()) == ([ONE], {}, [])


def test_result_is_pushed_even_so(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is ended while a task still runs pushes its result, like any other."""
    lake.files(one="python!")
    with pushgateway() as server:
        monkeypatch.setenv("MARQUEE_METRICS__PUSHGATEWAY_URL", server.url)
        assert stopped(lake, signal.SIGTERM)[0] == 143
    (exit_code,) = [value for name, value in server.metrics().items() if name.startswith("marquee_job_exit_code")]
    assert exit_code == 143


def test_interrupted_retry_counts_no_death(lake: Lake) -> None:
    """A signal during the retry of a period that was put off leaves it put off, with the deaths as before."""
    lake.files(one="segv!")
    assert lake.run()[0] == 70
    lake.files(one="pause!")
    assert stopped(lake, signal.SIGTERM)[0] == 143
    assert lake.begun() == {ONE: 2}
    lake.files(two="a")
    assert stopped(lake, signal.SIGTERM)[0] == 143
    assert (lake.made(), lake.begun()) == ([TWO], {ONE: 2})


def test_second_signal_is_ignored(lake: Lake) -> None:
    """Further signals do not interrupt the clean-up, as when a terminal sends Ctrl-C to parent and child."""
    lake.files(one="python!")
    process = lake.start()
    assert process.stderr is not None
    while process.stderr.readline().strip() != AT:
        pass
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert lake.scratch() == []
    assert "Traceback" not in errors


# The stages of Marquee


@pytest.fixture
def service() -> Iterator[ScheduleService]:
    """A schedule service."""
    with schedule_service() as running:
        yield running


@pytest.fixture
def world(service: ScheduleService, tmp_path: Path) -> SmallWorld:
    """One hour of events."""
    made = SmallWorld(tmp_path)
    made.configure(service.url)
    made.events(f"{DAY}T10", [("ann", 1, CASE)])
    return made


def stopped_stage(world: SmallWorld, stage: str, at: Callable[[], bool], **settings: str) -> tuple[int, float]:
    """Send SIGTERM to a stage that has come to a place; return its exit code and the seconds until its end."""
    scratch = world.folder / "scratch"
    scratch.mkdir()
    named = {f"MARQUEE_{name}": value for name, value in settings.items()}
    environment = {**os.environ, "MARQUEE_CONFIG": str(world.config), "MARQUEE_ENGINE__SCRATCH": str(scratch), **named}
    process = subprocess.Popen([sys.executable, "-m", f"jobs.{stage}"], env=environment, stderr=subprocess.DEVNULL)
    try:
        while not at():
            assert process.poll() is None
            time.sleep(0.05)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(30)
        assert list(scratch.iterdir()) == []
        return code, time.monotonic() - began
    finally:
        process.kill()
        process.wait()


def test_write_to_s3_without_an_answer(world: SmallWorld, s3_proxy: S3Proxy, s3_lake: S3Store) -> None:
    """A stage whose write to S3 gets no answer ends in time, and tells the store that its run has ended."""
    s3_proxy.faults = [Fault("hang", "PUT", path="/data/", times=100)]
    code, seconds = stopped_stage(
        world,
        "rollup",
        lambda: 0 in s3_proxy.statuses("PUT"),
        LAKE=f"s3://{BUCKET}/{s3_lake.prefix.strip('/')}",
        S3__ENDPOINT_URL=s3_proxy.url,
        S3__PATH_STYLE="true",
    )
    assert (code, seconds < WITHIN_S) == (143, True)
    # The hour still waits to be made; nothing of it, and no trace of the run.
    assert [info.key for info in s3_lake.list()] == ["markers/rollup/_PENDING"]


def test_lake_on_s3_that_does_not_answer_at_all(world: SmallWorld) -> None:
    """A stage that waits for the lake itself ends in time, although it cannot tell the lake of its end."""
    with socket.create_server(("127.0.0.1", 0)) as hole:  # accepts connections, and reads nothing
        code, seconds = stopped_stage(
            world,
            "rollup",
            lambda: bool(connections_to(hole)),
            LAKE="s3://bucket/lake",
            S3__ENDPOINT_URL=f"http://127.0.0.1:{hole.getsockname()[1]}",
            S3__PATH_STYLE="true",
        )
    assert (code, seconds < WITHIN_S) == (143, True)


def test_mysql_that_does_not_answer(world: SmallWorld) -> None:
    """A load whose server accepts the connection and says nothing ends in time."""
    with socket.create_server(("127.0.0.1", 0)) as hole:
        url = f"mysql://marquee@127.0.0.1:{hole.getsockname()[1]}/mart"
        code, seconds = stopped_stage(world, "mart_load", lambda: bool(connections_to(hole)), MART__URL=url)
    assert (code, seconds < WITHIN_S) == (143, True)


def test_pause_before_the_next_call_of_the_schedule(world: SmallWorld, service: ScheduleService) -> None:
    """A fetch that waits as long as the service has asked for ends at once."""
    service.tell(f"/schedule?country=KR&date={DAY}", raw(b"", 503, {"Retry-After": "60"}))
    code, seconds = stopped_stage(
        world,
        "schedule_fetch",
        lambda: bool(service.asked),
        SCHEDULE_FETCH__RETRY_FOR_S="100",
    )
    assert (code, seconds < AT_ONCE_S) == (143, True)
    assert list(world.lake.list()) == []


def connections_to(server: socket.socket) -> list[str]:
    """Return the established connections to a port, as the system lists them."""
    port = f":{server.getsockname()[1]:04X}"
    lines = Path("/proc/net/tcp").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.split()[1].endswith(port) and line.split()[3] == "01"]

"""Measures a command from outside, with every process that it starts: wall time, CPU time, peak memory. Linux only.

CPU time is what the kernel counted for all processes of the tree. Orphans, such as the Python workers that a JVM leaves
behind, are adopted by this process and waited for, so that none is missed. Memory is the sum of the tree's PSS (a page
that two processes share counts half in each), sampled, at its highest.
"""

import ctypes
import os
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
SAMPLE_S = 0.1
SAMPLING_SHARE = 0.1
"""Share of the time that sampling may take: looking over the memory of a large process takes some 20 ms."""
PATIENCE_S = 10.0
"""How long the processes left behind by a command may take to end by themselves."""
PR_SET_CHILD_SUBREAPER = 36


class BenchError(Exception):
    """The comparison makes no sense: a script failed, took too long, or counted otherwise than the others."""


@dataclass(frozen=True)
class Measured:
    """What one run took: seconds, seconds, MiB."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def measure(command: Sequence[str], env: Mapping[str, str], folder: Path, timeout_s: float) -> Measured:
    """Run a command in a folder to its end; BenchError with the end of its output when it fails or takes too long."""
    adopt_orphans()
    log = folder / "output.txt"
    with log.open("wb") as output:
        started = time.monotonic()
        child = subprocess.Popen(command, env=env, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    peak, overdue = _Peak(), threading.Event()
    timer = threading.Timer(timeout_s, _end, [overdue])
    timer.start()
    try:
        _, status, usage = os.wait4(child.pid, 0)
        wall_s = time.monotonic() - started
    finally:
        timer.cancel()
        left_cpu_s = wait_for_orphans()
        peak_mb = peak.stop()
    child.returncode = os.waitstatus_to_exitcode(status)
    if overdue.is_set() or child.returncode:
        what = f"did not end within {timeout_s:.0f} s" if overdue.is_set() else f"ended with code {child.returncode}"
        message = f"{' '.join(command)} {what}; its last lines:\n{tail(log)}"
        raise BenchError(message)
    return Measured(wall_s, usage.ru_utime + usage.ru_stime + left_cpu_s, peak_mb)


def _end(overdue: threading.Event) -> None:
    overdue.set()
    kill_descendants()


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def wait_for_orphans() -> float:
    """Wait for what a command left behind, and end what does not end; return its CPU seconds."""
    cpu_s, patience_ends = 0.0, time.monotonic() + PATIENCE_S
    with suppress(ChildProcessError):  # none is left
        while True:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
            if pid:
                cpu_s += usage.ru_utime + usage.ru_stime
                continue
            if time.monotonic() > patience_ends:
                kill_descendants()
            time.sleep(0.01)
    return cpu_s


def kill_descendants() -> None:
    """Kill every process below this one."""
    for pid in descendants(os.getpid()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def descendants(root: int) -> list[int]:
    """Return the processes below one."""
    children = defaultdict(list)
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it has ended
                stat = (entry / "stat").read_text(errors="replace")
                children[int(stat.rpartition(")")[2].split()[1])].append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children[pid])
    return found[1:]


def pss_mb(pids: Sequence[int]) -> float:
    """Return the memory that processes have, pages they share counted once: MiB."""
    total_kb = 0
    for pid in pids:
        with suppress(OSError, StopIteration):  # it has ended
            lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
            total_kb += int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return total_kb / 1024


def tail(log: Path, lines: int = 20) -> str:
    """Return the last lines of a file."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


class _Peak:
    """Samples the memory of this process's descendants, from now until it is stopped."""

    def __init__(self) -> None:
        self._peak_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        self._stop.set()
        self._thread.join()
        return self._peak_mb

    def _sample(self) -> None:
        pause_s = 0.0
        while not self._stop.wait(pause_s):
            started = time.monotonic()
            self._peak_mb = max(self._peak_mb, pss_mb(descendants(os.getpid())))
            pause_s = max(SAMPLE_S, (time.monotonic() - started) / SAMPLING_SHARE)

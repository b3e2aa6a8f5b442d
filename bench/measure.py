"""Measures a command from outside, with all its processes: wall time, CPU time, peak memory. Linux only.

CPU time is the kernel's count for all processes of the tree. Orphans, such as Python workers that outlive their JVM,
are adopted by this process and waited for. If no parent waits for a process (PySpark's daemon ignores the end of its
workers), the kernel loses its count: then the last observed value is used. Memory is the highest sum of the tree's PSS
(a page shared by two processes counts half in each). Both are sampled up to ten times a second. Load is what other
processes do: how many wait for a core or use one just before the command starts, and the cores that they use meanwhile.
"""

import ctypes
import os
import re
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
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
LOOK_S = 0.1
LOOKING_SHARE = 0.1
"""Share of the time that sampling may take: for the memory of a large process it takes some 20 ms."""
PATIENCE_S = 10.0
"""Time that processes left behind by a command have to end by themselves."""
PR_SET_CHILD_SUBREAPER = 36
USED = slice(11, 15)
"""Positions in /proc/<pid>/stat after the name: user and system ticks, its own and those of reaped children."""


class BenchError(Exception):
    """The comparison is invalid: a script failed, took too long, or counted other figures than the others."""


@dataclass(frozen=True)
class Measured:
    """The measurements of one run: seconds, seconds, MiB; and the load by others, before or meanwhile."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    load: float = 0.0


def measure(command: Sequence[str], env: Mapping[str, str], folder: Path, timeout_s: float) -> Measured:
    """Run a command in a folder to its end; raise a BenchError with the end of its output on failure or timeout."""
    _adopt_orphans()
    waiting, busy_s = _running_others(), _busy_seconds()
    log = folder / "output.txt"
    with log.open("wb") as output:
        started, own_s = time.monotonic(), time.process_time()
        child = subprocess.Popen(command, env=env, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    watch = _Watch(started + timeout_s)
    try:
        _, status, usage = os.wait4(child.pid, 0)
        wall_s = time.monotonic() - started
    except BaseException:  # interrupted: end all its processes
        _kill(_descendants())
        raise
    finally:
        orphans = _wait_for_orphans()
        watch.stop()
    child.returncode = os.waitstatus_to_exitcode(status)
    if watch.overdue or child.returncode:
        what = f"did not end within {timeout_s:.0f} s" if watch.overdue else f"ended with code {child.returncode}"
        message = f"{' '.join(command)} {what}; its last lines:\n{_tail(log)}"
        raise BenchError(message)
    forgotten_s = sum(used_s for pid, used_s in watch.unwaited.items() if pid not in orphans)
    cpu_s = usage.ru_utime + usage.ru_stime + sum(orphans.values()) + forgotten_s
    others_s = _busy_seconds() - busy_s - cpu_s - (time.process_time() - own_s)
    return Measured(wall_s, cpu_s, watch.peak_mb, max(waiting, others_s / wall_s))


class _Watch:
    """Samples this process's descendants until it is stopped, and ends them after the timeout."""

    def __init__(self, ends_at: float) -> None:
        self.peak_mb = 0.0
        self.unwaited: dict[int, float] = {}
        """Last observed CPU seconds of processes whose parent does not wait for them."""
        self.overdue = False
        self._begun = time.monotonic()
        self._ends_at = ends_at
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        pause_s = 0.0
        while not self._stopped.wait(pause_s):
            started = time.monotonic()
            self._look()
            if started > self._ends_at:
                self.overdue = True
                _kill(_descendants())
            ended = time.monotonic()
            # On a busy machine one look takes long: a short command is looked at again all the same.
            pause_s = max(LOOK_S, min((ended - started) / LOOKING_SHARE, ended - self._begun))

    def _look(self) -> None:
        tree = _descendants()
        self.peak_mb = max(self.peak_mb, sum(map(_pss_mb, tree)))
        careless = {pid for pid in tree if _ignores_its_children(pid)}
        for pid, parent in tree.items():
            if parent in careless:
                with suppress(OSError):  # it has ended
                    self.unwaited[pid] = cpu_seconds(pid)


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a running process, including its threads."""
    return sum(map(int, _stat(pid)[USED])) / TICKS_A_SECOND


def wait_for(command: subprocess.Popen[bytes], look_s: float = LOOK_S) -> float:
    """Wait for a command; return the last observed peak of resident memory of its largest process, in MiB.

    That is the command, or a child of it: commands of stages run in a child. The final peak in the system's statistics
    would include this process, which the command was forked from.
    """
    peaks = [0.0]
    while command.poll() is None:
        with suppress(OSError):  # a process has just ended
            children = (PROC / f"{command.pid}/task/{command.pid}/children").read_text(encoding="utf-8").split()
            peaks += [_resident_peak_mb(pid) for pid in (command.pid, *map(int, children))]
        time.sleep(look_s)
    return max(peaks)


def _resident_peak_mb(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", (PROC / f"{pid}/status").read_text(encoding="utf-8"))
    return int(found[1]) / 1024 if found else 0.0  # a process that has ended has none


def _running_others() -> float:
    """Return how many threads of other processes run or wait for a core, on average over half a second."""
    seen = []
    for _ in range(10):
        (running,) = (line.split()[1] for line in _machine() if line.startswith("procs_running"))
        seen.append(int(running) - 1)
        time.sleep(LOOK_S / 2)
    return sum(seen) / len(seen)


def _busy_seconds() -> float:
    """Return the CPU seconds that all processes of the machine have used."""
    user, nice, system, _idle, _waiting, interrupts, soft = map(int, _machine()[0].split()[1:8])
    return (user + nice + system + interrupts + soft) / TICKS_A_SECOND


def _machine() -> list[str]:
    return (PROC / "stat").read_text(encoding="utf-8").splitlines()


def _adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def _wait_for_orphans() -> dict[int, float]:
    """Wait for the processes that a command left behind, or end them; return the CPU seconds of each."""
    used: dict[int, float] = {}
    patience_ends = time.monotonic() + PATIENCE_S
    with suppress(ChildProcessError):  # none is left
        while True:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
            if pid:
                used[pid] = usage.ru_utime + usage.ru_stime
                continue
            if time.monotonic() > patience_ends:
                _kill(_descendants())
            time.sleep(0.01)
    return used


def _kill(pids: Mapping[int, int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _descendants() -> dict[int, int]:
    """Return the processes below this one, and the parent of each."""
    children = defaultdict(list)
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it has ended
                children[int(_stat(int(entry.name))[1])].append(int(entry.name))
    found: dict[int, int] = {}
    pids = [os.getpid()]
    for pid in pids:
        pids += children[pid]
        found |= dict.fromkeys(children[pid], pid)
    return found


def _stat(pid: int) -> list[str]:
    """Return the entries of /proc/<pid>/stat after the name, which may contain any character."""
    return (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _pss_mb(pid: int) -> float:
    """Return the memory of a process in MiB, with shared pages divided among the processes that share them."""
    with suppress(OSError):  # it has ended
        for line in (PROC / str(pid) / "smaps_rollup").read_text(encoding="utf-8").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _ignores_its_children(pid: int) -> bool:
    with suppress(OSError):  # it has ended
        for line in (PROC / str(pid) / "status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("SigIgn:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGCHLD - 1) & 1)
    return False


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

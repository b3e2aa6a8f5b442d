"""What this machine or pod has for the work: its cores, and the memory that it limits its processes to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes

MIB = 1 << 20
CGROUP = Path("/sys/fs/cgroup")
NO_LIMIT = 1 << 60
"""Bytes from which a limit is none: cgroup v1 has no word for it, and gives the largest number of pages."""

PROCESS_MB = 200
"""MiB of a process beside the memory of its engine."""
PROCESS_SHARE = 1 / 4
"""What is left to the process of a larger limit: an engine's own limit is not exact, by the more the larger it is."""
LEAST_MEMORY_MB = 256
"""MiB with which the local engine can work."""
USUAL_MEMORY_MB = 800
"""MiB of the local engine where nothing limits memory."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt."""
KEPT_MB, LARGEST_KEPT_MB = 128, 32
"""MiB of freed memory that a thread keeps at most; MiB of the largest block that it keeps."""


@dataclass(frozen=True)
class Place:
    """This machine or pod: its cores, and the limit of its memory in MiB if there is one."""

    cores: float
    memory_mb: float = inf


def this_place(workers: int, cgroup: Path = CGROUP) -> Place:
    """Return the memory of this pod and the cores that so many tasks can use, or this machine's where no limit is."""
    quota, period = (_read(cgroup / "cpu.max") or "max 100000").split()[:2]
    if quota == "max":  # or cgroup v1, whose files have other names
        quota = _read(cgroup / "cpu/cpu.cfs_quota_us") or "-1"
        period = _read(cgroup / "cpu/cpu.cfs_period_us") or "100000"
    limit = _read(cgroup / "memory.max") or _read(cgroup / "memory/memory.limit_in_bytes") or "max"
    cores = float(min(workers, os.cpu_count() or 1))
    if int(quota) > 0:
        cores = min(cores, int(quota) / int(period))
    return Place(cores, inf if limit == "max" or int(limit) >= NO_LIMIT else int(limit) / MIB)


def engine_memory_mb(cgroup: Path = CGROUP) -> int:
    """Return the MiB of a local engine for which nobody set any: what its process leaves of the limit, if there is one.

    With less than it can work with, the engine starts nevertheless: small work fits, and a killed process is noted.
    """
    limit = this_place(1, cgroup).memory_mb
    if limit == inf:
        return USUAL_MEMORY_MB
    return max(LEAST_MEMORY_MB, int(limit - max(PROCESS_MB, limit * PROCESS_SHARE)))


def keep_freed_memory() -> None:
    """Keep freed memory in this process for the next buffers, instead of giving it back to the system each time.

    Each would be mapped and cleared again, page by page. This is for Arrow, unless it is loaded already, and for numpy
    where the C library is glibc.
    """
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "-1")
    with suppress(OSError, AttributeError):  # another C library
        mallopt = _libc().mallopt
        mallopt(_MMAP_THRESHOLD, LARGEST_KEPT_MB * MIB)
        mallopt(_TRIM_THRESHOLD, KEPT_MB * MIB)


@contextmanager
def keeping_freed_memory() -> Iterator[None]:
    """Keep memory that is freed meanwhile, and return all of it at the end."""
    keep_freed_memory()
    try:
        yield
    finally:
        with suppress(OSError, AttributeError):
            _libc().malloc_trim(0)


def _libc() -> "ctypes.CDLL":
    import ctypes  # noqa: PLC0415 - only processes that compute need it

    return ctypes.CDLL(None)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""

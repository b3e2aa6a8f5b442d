"""Chooses where due work is done: in this process, or on Spark, which takes a while to start.

The choice depends on the CPU time that the work is expected to take, on the cores and the memory of this machine or
pod, and on the cores of Spark. It never changes a result.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from marquee.engine.base import SUBMITTED
from marquee.machine import LEAST_MEMORY_MB, MIB, PROCESS_MB, Place

REMOTE = "spark.remote"
"""Spark's own name for the URL of a server of Spark Connect."""

CPU_S_PER_MIB = 0.15
"""CPU seconds for a MiB of inputs, while no run has told: gzipped JSON takes about that."""
SPARK_OVERHEAD = 2.1
"""CPU time of work on Spark, start-up aside, as a multiple of its time here: see docs/benchmarks.md."""


@dataclass(frozen=True)
class Load:
    """Due work: bytes of inputs, and CPU seconds for a byte as the last runs took; None if none is known."""

    size: int
    cpu_s_per_byte: float | None = None

    @property
    def cpu_s(self) -> float:
        """The CPU seconds that the work is expected to take."""
        return self.size * (CPU_S_PER_MIB / MIB if self.cpu_s_per_byte is None else self.cpu_s_per_byte)


@dataclass(frozen=True)
class Choice:
    """Where the work is done, with how much memory if here, and why."""

    on_spark: bool
    memory_mb: int
    reason: str


def choose(load: Load, here: Place, memory_mb: int, spark_cores: float, spark_start_s: float) -> Choice:
    """Return where the work is expected to be done first; here if that is the same.

    Args:
        load: the due work.
        here: this machine or pod.
        memory_mb: MiB that the local engine would use; less if the limit of this pod is lower.
        spark_cores: tasks that Spark runs at a time.
        spark_start_s: seconds until Spark's first task starts.
    """
    fits = int(min(memory_mb, here.memory_mb - PROCESS_MB))
    here_s = load.cpu_s / max(here.cores, 0.1)
    there_s = spark_start_s + load.cpu_s * SPARK_OVERHEAD / spark_cores
    source = "a rule of thumb" if load.cpu_s_per_byte is None else "the last runs"
    facts = (
        f"{load.size / MIB:.1f} MiB due, about {load.cpu_s:.0f} CPU s by {source}: {here_s:.0f} s on {here.cores:g} "
        f"cores here, {there_s:.0f} s on {spark_cores:g} cores of Spark with its start"
    )
    if fits < LEAST_MEMORY_MB:
        reason = f"{facts}; this pod has too little memory, {here.memory_mb:.0f} MiB"
        return Choice(on_spark=True, memory_mb=fits, reason=reason)
    return Choice(on_spark=there_s < here_s, memory_mb=fits, reason=facts)


def may_start_spark(kind: str, conf: Mapping[str, str]) -> bool:
    """Return whether an engine of this kind may run on Spark: ``auto`` does where the configuration names a cluster."""
    return kind == "spark" or (kind == "auto" and (SUBMITTED in os.environ or names_cluster(conf)))


def names_cluster(conf: Mapping[str, str]) -> bool:
    """Return whether a configuration of Spark names another machine: on this one, Spark only costs more."""
    return REMOTE in conf or not conf.get("spark.master", "local").startswith("local")

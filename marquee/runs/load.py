"""How much work is due, and with ``engine.kind`` = ``auto`` the engine for it.

The load is the bytes of the due inputs, and the CPU time that the last runs took for a byte.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from itertools import islice
from operator import itemgetter

from marquee.calendar import Span
from marquee.engine.base import SUBMITTED, Engine
from marquee.engine.choice import Choice, Load, choose, names_cluster
from marquee.engine.starting import start_engine
from marquee.lake.manifest import Input, Marker
from marquee.lake.markers import Markers
from marquee.machine import this_place
from marquee.runs.stage import Stage, Target, plan_period, plan_stage
from marquee.settings.sections import EngineSettings

log = logging.getLogger(__name__)

LAST_RUNS = 24


def size_of(inputs: Sequence[Input]) -> int:
    """Return the bytes of inputs."""
    return sum(one.size for one in inputs)


def cpu_s_per_byte(markers: Iterable[Marker]) -> float | None:
    """Return what the largest of the last runs took for a byte, or None. Small ones take mostly their start.

    Inputs of earlier runs are not looked at: with an index of markers, each look may be a request.
    """
    measured = sorted((one for one in markers if one.cpu_seconds), key=lambda one: one.finished_at)
    sized = ((one, size_of(one.inputs)) for one in reversed(measured))
    last = list(islice(((one, size) for one, size in sized if size), LAST_RUNS))
    largest = max(reversed(last), key=itemgetter(1), default=None)
    return None if largest is None else (largest[0].cpu_seconds or 0) / largest[1]


def decide(stage: str, settings: EngineSettings, load: Load, spark_cores: float) -> Choice:
    """Return where a stage's load is done, and write it to the log with the reason."""
    here = this_place(settings.workers)
    choice = choose(load, here, settings.memory_mb, spark_cores, settings.spark_start_s)
    log.info("%s: %s: %s", stage, "on Spark" if choice.on_spark else "here", choice.reason)
    return choice


def engine_for(settings: EngineSettings, stage: Stage, markers: Markers, span: Span, *, force: bool) -> Engine:
    """Start the engine of the settings. ``auto`` plans the stage first, if the settings name a cluster of Spark.

    The pod of a SparkApplication is on Spark, because the launcher has chosen so.
    """
    if settings.kind != "auto" or SUBMITTED in os.environ or not names_cluster(settings.spark):
        return start_engine(settings)
    targets = [plan_period(stage, period) for period in plan_stage(stage, markers, span, force=force)]
    size = sum(size_of(one.inputs) for one in targets if isinstance(one, Target))
    load = Load(size, cpu_s_per_byte(markers.of(stage.name).values()))
    cores = float(settings.spark.get("spark.cores.max", 2))
    choice = decide(stage.name, settings, load, cores)
    if choice.on_spark:
        return start_engine(settings)
    return start_engine(settings.model_copy(update={"kind": "local", "memory_mb": choice.memory_mb}))

"""Starts the engine that the settings name."""

from marquee.engine.base import Engine
from marquee.engine.choice import may_start_spark
from marquee.settings.sections import EngineSettings


def start_engine(settings: EngineSettings) -> Engine:
    """Start an engine; ConfigError when its packages are not installed. ``auto`` is Spark if it may be."""
    if not may_start_spark(settings.kind, settings.spark):
        from marquee.engine.local import EngineOptions, LocalEngine  # noqa: PLC0415 - slow to import

        return LocalEngine(EngineOptions(settings.workers, settings.memory_mb, settings.scratch))
    from marquee.engine.spark import start_spark  # noqa: PLC0415 - an extra

    return start_spark(settings.spark, settings.task_memory_mb, settings.scratch)

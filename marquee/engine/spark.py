"""Starts Spark for the Spark engine; the configuration comes from spark-submit or from the settings."""

import os
import sys
from collections.abc import Mapping

from marquee.engine.base import SparkEngine
from marquee.errors import ConfigError

SUBMITTED = "PYSPARK_GATEWAY_PORT"
"""What spark-submit tells a driver: its Java process, which has a configuration, that has a name."""


def start_spark(conf: Mapping[str, str], task_memory_mb: int) -> SparkEngine:
    """Return an engine on the running Spark, or on a new one with this configuration."""
    try:
        from pyspark import SparkConf, SparkContext  # noqa: PLC0415 - an extra
    except ImportError as error:
        message = "MARQUEE_ENGINE__KIND='spark' needs pyspark: install marquee[spark], or set it to 'local'"
        raise ConfigError(message) from error
    # Tasks must run on the interpreter that has Marquee. PySpark would take whatever `python3` is first in the path,
    # and is told in no other way: spark.pyspark.python counts for spark-submit alone, which sets this variable.
    os.environ.setdefault("PYSPARK_PYTHON", conf.get("spark.pyspark.python", sys.executable))
    configured = SparkConf().setAll(list(conf.items()))
    if SUBMITTED not in os.environ:
        configured.setIfMissing("spark.app.name", "marquee")
    context = SparkContext.getOrCreate(configured)
    context.setLogLevel("WARN")
    return SparkEngine(context, task_memory_mb)

"""Starts what the rollup on the Spark engine starts, until its SparkContext is ready, and does nothing with it."""

from jobs.common.settings import load_settings
from jobs.rollup.settings import RollupSettings

if __name__ == "__main__":
    load_settings(RollupSettings).start_engine()

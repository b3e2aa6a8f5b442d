"""Starts Spark like the rollup does, until its SparkContext is ready, and does nothing with it."""

from jobs.rollup.settings import RollupSettings
from marquee.engine.starting import start_engine
from marquee.settings.loading import load_settings

if __name__ == "__main__":
    start_engine(load_settings(RollupSettings).engine)

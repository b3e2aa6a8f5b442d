"""The contenders: Marquee's rollup on both engines, and plain scripts for the same work, each a command."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figures, figures_of_lake, figures_of_script

ROOT = Path(__file__).parent.parent
HOUR = "2026-01-05T13"
RAW_FOLDER = "topics/plays/year=2026/month=01/day=05/hour=13"
KEY = "a made-up key of the benchmark"
SPARK = {"spark.master": f"local[{os.cpu_count()}]", "spark.driver.memory": "1g", "spark.ui.enabled": "false"}

LOCAL, SPARK_ENGINE, START_UP = "local", "spark", "spark-start-up"


@dataclass(frozen=True)
class Contender:
    """A command that rolls up the hour; ``arguments`` are Python's, after its own options."""

    name: str
    title: str
    arguments: tuple[str, ...]
    settings: Mapping[str, str]
    script: bool = False

    def command(self, raw: Path, out: Path) -> Sequence[str]:
        """Return the command line."""
        where = (HOUR, str(raw / RAW_FOLDER), str(out)) if self.script else ()
        return [sys.executable, *self.arguments, *where]

    def environment(self, raw: Path, out: Path, scratch: Path) -> dict[str, str]:
        """Return the environment without Marquee's settings, with temporary files in ``scratch``."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MARQUEE_")}
        return {
            **inherited,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(scratch),
            "SPARK_LOCAL_DIRS": str(scratch),
            "VIEWER_KEY": KEY,
            "MARQUEE_LAKE": out.as_uri(),
            "MARQUEE_RAW": raw.as_uri(),
            "MARQUEE_ROLLUP__VIEWER_KEY": KEY,
            **self.settings,
        }

    def figures(self, out: Path) -> Figures | None:
        """Return the figures that it counted; None for a contender that does only a part of the work."""
        if self.name == START_UP:
            return None
        return figures_of_script(out) if self.script else figures_of_lake(out)


def _script(name: str, title: str, file: str) -> Contender:
    return Contender(name, title, (str(ROOT / "bench" / file),), {}, script=True)


ON_SPARK = {"MARQUEE_ENGINE__KIND": "spark", "MARQUEE_ENGINE__SPARK": json.dumps(SPARK)}
CONTENDERS = (
    Contender(LOCAL, "Marquee, local engine", ("-m", "jobs.rollup", HOUR), {}),
    Contender(SPARK_ENGINE, "Marquee, Spark engine", ("-m", "jobs.rollup", HOUR), ON_SPARK),
    Contender(START_UP, "  Spark's start-up only", ("-m", "bench.spark_start"), ON_SPARK),
    _script("duckdb", "DuckDB script", "plain_duckdb.py"),
    _script("polars", "Polars script", "plain_polars.py"),
    _script("pyspark", "PySpark script, well tuned", "plain_pyspark.py"),
    _script("naive-pyspark", "PySpark script, typical", "naive_pyspark.py"),
)

"""The contenders: Marquee's rollup on both engines, and plain scripts for the same work, each a command."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench.inputs import AVRO, HOUR, JSON, PARQUET, RAW_FOLDER
from bench.results import Results, results_of_lake, results_of_script

ROOT = Path(__file__).parent.parent
KEY = "a made-up key of the benchmark"
SPARK = {
    "spark.master": f"local[{os.cpu_count()}]",
    "spark.driver.memory": "1g",
    "spark.driver.maxResultSize": "1m",  # nothing grows in the driver
    "spark.ui.enabled": "false",
}

LOCAL, SPARK_ENGINE, START_UP, DUCKDB, FASTAVRO = "local", "spark", "spark-start-up", "duckdb", "fastavro"
ALL_FORMS = (JSON, PARQUET, AVRO)


@dataclass(frozen=True)
class Contender:
    """A command that rolls up the hour; ``arguments`` are Python's, after its own options."""

    name: str
    title: str
    arguments: tuple[str, ...]
    settings: Mapping[str, str]
    forms: tuple[str, ...]
    """Forms of the input that it reads."""
    script: bool = False
    needs: str | None = None
    """Package without which it cannot run."""

    def missing(self) -> str | None:
        """Return the name of the package that it lacks here."""
        return self.needs if self.needs and find_spec(self.needs) is None else None

    def command(self, raw: Path, out: Path) -> Sequence[str]:
        """Return the command line."""
        folder = str(raw / RAW_FOLDER)
        where = (folder,) if self.name == FASTAVRO else (HOUR, folder, str(out)) if self.script else ()
        return [sys.executable, *self.arguments, *where]

    def environment(self, raw: Path, out: Path, scratch: Path) -> dict[str, str]:
        """Return the environment without Marquee's settings, with temporary files in ``scratch``."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MARQUEE_")}
        return {
            **inherited,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(scratch),
            "SPARK_LOCAL_DIRS": str(scratch),
            "XDG_CACHE_HOME": str(scratch),
            "VIEWER_KEY": KEY,
            "MARQUEE_LAKE": out.as_uri(),
            "MARQUEE_RAW": raw.as_uri(),
            "MARQUEE_ROLLUP__VIEWER_KEY": KEY,
            **self.settings,
        }

    def results(self, out: Path) -> Results | None:
        """Return where its results are; None for a contender that does only a part of the work."""
        if self.name in {START_UP, FASTAVRO}:
            return None
        return results_of_script(out) if self.script else results_of_lake(out)


def _script(name: str, title: str, forms: tuple[str, ...], needs: str | None = None) -> Contender:
    file = "naive_pyspark.py" if name == "naive-pyspark" else f"plain_{name}.py"
    return Contender(name, title, (str(ROOT / "bench" / file),), {}, forms, script=True, needs=needs or name)


ON_SPARK = {"MARQUEE_ENGINE__KIND": "spark", "MARQUEE_ENGINE__SPARK": json.dumps(SPARK)}
CONTENDERS = (
    Contender(LOCAL, "Marquee, local engine", ("-m", "jobs.rollup", HOUR), {}, ALL_FORMS),
    _script(DUCKDB, "DuckDB script", (JSON, PARQUET)),
    _script("chdb", "ClickHouse script", (JSON, PARQUET)),
    _script("polars", "Polars script", (JSON, PARQUET)),
    Contender(
        FASTAVRO,
        "fastavro, reading alone",
        (str(ROOT / "bench" / "read_avro.py"),),
        {},
        (AVRO,),
        script=True,
        needs="fastavro",
    ),
    Contender(SPARK_ENGINE, "Marquee, Spark engine", ("-m", "jobs.rollup", HOUR), ON_SPARK, ALL_FORMS, needs="pyspark"),
    Contender(START_UP, "  Spark's start-up only", ("-m", "bench.spark_start"), ON_SPARK, ALL_FORMS, needs="pyspark"),
    _script("pyspark", "PySpark script, well tuned", (JSON,)),
    _script("naive-pyspark", "PySpark script, typical", (JSON,), needs="pyspark"),
)

"""Sessions of Spark: on this process's own Spark, which Java runs, or on a server of Spark Connect or of Sail.

The configuration comes from spark-submit or from the settings. ``spark.remote`` in it names a server.
"""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marquee.engine.base import SUBMITTED
from marquee.engine.choice import REMOTE
from marquee.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import SparkConf
    from pyspark.sql import DataFrame, SparkSession

_NEVER = 1_000_000_000
QUICK_JAVA = " ".join(
    (
        # Another version of Java may not know one of these. Then it is slower, and starts.
        "-XX:+IgnoreUnrecognizedVMOptions",
        "-XX:+UseSerialGC -XX:MetaspaceSize=128m",
        # The best compiler compiles nothing, and nothing is counted for it,
        "-XX:-ProfileInterpreter -XX:-C1UpdateMethodData",
        f"-XX:Tier4InvocationThreshold={_NEVER} -XX:Tier4MinInvocationThreshold={_NEVER}",
        f"-XX:Tier4CompileThreshold={_NEVER} -XX:Tier4BackEdgeThreshold={_NEVER}",
        # but the cipher of Spark's files: only that compiler uses the processor's instructions for AES.
        "-XX:CompileCommand=quiet",
        "-XX:CompileCommand=CompileThresholdScaling,com.sun.crypto.provider.CounterMode::*,0.00000001",
    )
)
"""Java moves buffers and computes nothing: its best compiler and collector cost more than they save."""

FIRST_JARS = ("spark-c*", "scala-library-*", "spark-sql*")
"""Jars with most of the classes: Java searches its class path, of 280 jars, in their order for each class."""

PARTITIONS = "spark.sql.shuffle.partitions"
REMOTE_PARTITIONS = 16
"""Partitions of a shuffle on a server, which does not tell its cores."""

OF_SESSION = {
    # A row is a buffer of MiB: Spark would send 10,000 of them to a worker at once.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1",
    "spark.sql.adaptive.enabled": "false",
    # The plans are a few steps over a few rows: compiling them takes longer than running them.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    # It hashes all rows, to repeat later stages if a repeated task gives others. Ours give the same tables.
    "spark.sql.shuffle.orderIndependentChecksum.enabled": "false",
    "spark.sql.shuffle.orderIndependentChecksum.enableFullRetryOnMismatch": "false",
}
"""What every session needs."""

OF_OWN = {
    "spark.executorEnv.PYTHONSAFEPATH": "1",  # no modules from the current folder
    "spark.python.daemon.module": "marquee.engine.spark_daemon",
    "spark.shuffle.compress": "false",  # tables are compressed already
    "spark.shuffle.checksum.enabled": "false",  # only looked at if Spark fails to decompress
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.extensions.test.loadFromCp": "false",  # MLlib's, which load Scala's compiler of types at the start
    # Rejected lines, which may hold user ids, pass through files of the shuffle, and between Java and Python.
    "spark.io.encryption.enabled": "true",
    # What it comes to anyway, after looking for an OpenSSL of another version.
    "spark.io.encryption.commons.config.cipher.classes": "org.apache.commons.crypto.cipher.JceCipher",
    "spark.io.encryption.commons.config.secure.random.classes": "org.apache.commons.crypto.random.JavaCryptoRandom",
    "spark.python.unix.domain.socket.enabled": "true",
}
"""What a Spark of this process has unless its configuration says otherwise."""

OF_NETWORK = {"spark.authenticate": "true", "spark.network.crypto.enabled": "true"}
"""Encryption between driver and executors, where Spark has or makes a secret for it."""
MAKES_SECRET = ("k8s://", "yarn")
"""Masters for which Spark makes the secret of each application; others take one from the configuration."""


@dataclass(frozen=True)
class Session:
    """A session of Spark, and whether it is one of a server."""

    spark: "SparkSession"
    remote: bool
    remote_partitions: int = REMOTE_PARTITIONS

    @property
    def partitions(self) -> int:
        """How many partitions a shuffle has."""
        return self.remote_partitions if self.remote else max(self.spark.sparkContext.defaultParallelism, 1)

    def cancel(self) -> None:
        """Cancel what runs."""
        if self.remote:
            self.spark.interruptAll()
        else:
            self.spark.sparkContext.cancelAllJobs()

    def runs(self) -> bool:
        """Return whether Spark still runs."""
        if self.remote:
            return True  # see failed_to_answer: another request would wait as long as the one that failed
        try:
            return not self.spark.sparkContext._jsc.sc().isStopped()  # noqa: SLF001 - PySpark has no other way
        except Exception:  # noqa: BLE001 - any error of the connection to Java
            return False


def failed_to_answer(error: Exception) -> bool:
    """Return whether an error is one of the connection to a server; those of tasks are of subclasses."""
    return type(error).__name__ in {"RetriesExceeded", "SparkConnectGrpcException", "_InactiveRpcError"}


def open_session(conf: Mapping[str, str], scratch: Path | None) -> Session:
    """Open a session on a server, on the running Spark, or on a new one with this configuration.

    Raises:
        ConfigError: a package is missing.
    """
    opened = _on_server(conf) if REMOTE in conf else _own(conf, scratch)
    for name, value in OF_SESSION.items():
        with suppress(Exception):  # a server may not know a name
            opened.spark.conf.set(name, value)
    return opened


def _on_server(conf: Mapping[str, str]) -> Session:
    url = conf[REMOTE]
    if not url.startswith("sc://"):
        message = f"MARQUEE_ENGINE__SPARK: {REMOTE}={url!r} is no URL of Spark Connect. Use sc://host:port"
        raise ConfigError(message)
    try:
        from pyspark.sql.connect.session import SparkSession  # noqa: PLC0415 - an extra
    except ImportError as error:
        message = (
            f"MARQUEE_ENGINE__SPARK: {REMOTE} needs a client of Spark Connect, which is not installed ({error}). "
            "Install marquee[sail] or pyspark[connect]"
        )
        raise ConfigError(message) from error
    builder = SparkSession.builder.remote(url)
    for name, value in conf.items():
        builder = builder.config(name, value)
    session: Any = builder.create()  # of another class, with the same methods
    return Session(session, remote=True, remote_partitions=int(conf.get(PARTITIONS, REMOTE_PARTITIONS)))


def _own(conf: Mapping[str, str], scratch: Path | None) -> Session:
    try:
        from pyspark import SparkConf  # noqa: PLC0415 - an extra
        from pyspark.find_spark_home import _find_spark_home  # noqa: PLC0415
        from pyspark.sql import SparkSession  # noqa: PLC0415
    except ImportError as error:
        message = "MARQUEE_ENGINE__KIND='spark' needs pyspark. Install marquee[spark], or set it to 'local'"
        raise ConfigError(message) from error
    # Tasks must run on the interpreter that has Marquee. By default PySpark uses the first `python3` in the path. Only
    # this variable changes that: spark.pyspark.python works for spark-submit alone, which sets this variable itself.
    os.environ.setdefault("PYSPARK_PYTHON", conf.get("spark.pyspark.python", sys.executable))
    os.environ.setdefault("SPARK_HOME", _find_spark_home())  # its scripts would start a Python to find it
    spark = SparkSession.builder.config(conf=_configured(SparkConf(), conf, scratch)).getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    return Session(spark.newSession(), remote=False)


def _configured(configured: "SparkConf", conf: Mapping[str, str], scratch: Path | None) -> "SparkConf":
    configured.setAll(list(conf.items()))
    encrypts = configured.get("spark.authenticate", "") == "true" or (
        configured.get("spark.master", "local").startswith(MAKES_SECRET)
    )
    for name, value in (OF_OWN | (OF_NETWORK if encrypts else {})).items():
        configured.setIfMissing(name, value)
    if scratch is not None:
        configured.setIfMissing("spark.local.dir", str(scratch))
    if SUBMITTED not in os.environ:
        configured.setIfMissing("spark.app.name", "marquee")
        configured.setIfMissing("spark.driver.extraJavaOptions", QUICK_JAVA)
        jars = Path(os.environ["SPARK_HOME"]) / "jars"
        first = [str(path) for pattern in FIRST_JARS for path in sorted(jars.glob(pattern))]
        configured.setIfMissing("spark.driver.extraClassPath", ":".join(first))
    return configured


def map_in_arrow(frame: "DataFrame", work: Callable[..., Any], schema: "pa.Schema") -> "DataFrame":
    """Return the frame of a function of Arrow batches."""
    from pyspark.sql.pandas.types import from_arrow_schema  # noqa: PLC0415 - an extra

    columns_of = from_arrow_schema(schema)  # not as text, for which Java would load its parser of SQL
    java = getattr(frame, "_jdf", None)
    if java is None:
        return frame.mapInArrow(work, columns_of)
    # As DataFrame.mapInArrow does, which would require pandas and import it, although nothing here uses it.
    from pyspark.sql import DataFrame  # noqa: PLC0415
    from pyspark.sql.udf import UserDefinedFunction  # noqa: PLC0415
    from pyspark.util import PythonEvalType  # noqa: PLC0415

    function = UserDefinedFunction(work, columns_of, evalType=PythonEvalType.SQL_MAP_ARROW_ITER_UDF)
    columns = function(*(frame[name] for name in frame.columns))
    return DataFrame(java.mapInArrow(columns._jc, False, None), frame.sparkSession)  # noqa: SLF001, FBT003

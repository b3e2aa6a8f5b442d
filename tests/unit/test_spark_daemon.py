"""The search path of the process that forks Spark's workers."""

from pathlib import Path

from marquee.engine.spark_daemon import installed_first


def test_archives_of_the_installed_package_are_not_searched(tmp_path: Path) -> None:
    """Of a Spark that is the installed package pyspark, its archives of the same sources are left out of the path."""
    (tmp_path / "__init__.py").touch()
    archives = [str(tmp_path / "python" / "lib" / name) for name in ("pyspark.zip", "py4j-0.10.9.9-src.zip")]
    path = [*archives, str(tmp_path / "jars" / "spark-core.jar"), "/elsewhere/packages.zip", ""]
    assert installed_first(path, tmp_path) == [str(tmp_path / "jars" / "spark-core.jar"), "/elsewhere/packages.zip", ""]


def test_archives_of_another_spark_stay(tmp_path: Path) -> None:
    """Of a Spark that is not the installed package, the archives stay: its version may be another."""
    path = [str(tmp_path / "python" / "lib" / "pyspark.zip")]
    assert installed_first(path, tmp_path) == path
    assert installed_first(path, None) == path

"""The figures that a contender counted, read from its files: all contenders must have the same."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from bench.measure import BenchError

VIEWERSHIP = """
select count(*), sum(plays)::bigint, sum(watched_seconds)::bigint,
    sum(hash(
        episode_id::bigint, country, local_hour::bigint, device, plays::bigint, watched_seconds::bigint
    )::hugeint)::varchar
from read_parquet($files)
"""
VIEWER_HOUR = """
-- Pseudonyms differ: a script may hash otherwise. Everything else of a row counts.
select count(*), sum(plays)::bigint, sum(watched_seconds)::bigint, count(distinct viewer),
    sum(hash(
        episode_id::bigint, country, language, plays::bigint, watched_seconds::bigint,
        epoch_us(first_at), epoch_us(last_at)
    )::hugeint)::varchar
from read_parquet($files)
"""
REJECTS = "select reason, count(*) from read_parquet($files) group by reason order by reason"


@dataclass(frozen=True)
class Figures:
    """Sums over the outputs. Checksums add up a hash of each row, so the order of rows does not matter."""

    plays: int
    watched_seconds: int
    viewers: int
    duplicates: int
    rejects: dict[str, int]
    viewership_rows: int
    viewership_checksum: str
    viewer_hour_rows: int
    viewer_hour_plays: int
    viewer_hour_watched_seconds: int
    viewer_hour_checksum: str


def figures_of_lake(out: Path) -> Figures:
    """Return the figures of Marquee's own rollup."""
    (marker,) = out.glob("markers/rollup/*/_SUCCESS")
    manifest = json.loads(marker.read_text(encoding="utf-8"))

    def files(dataset: str) -> list[str]:
        return [str(out / output["key"]) for output in manifest["outputs"] if output["dataset"] == dataset]

    return _read(files("viewership"), files("viewer_hour"), files("rejects"), manifest["counts"]["duplicates"])


def figures_of_script(out: Path) -> Figures:
    """Return the figures of a plain script: each dataset is a file, or a folder of files."""

    def files(dataset: str) -> list[str]:
        path = out / f"{dataset}.parquet"
        return [str(file) for file in path.glob("*.parquet")] if path.is_dir() else [str(path)]

    counts = json.loads((out / "counts.json").read_text(encoding="utf-8"))
    return _read(files("viewership"), files("viewer_hour"), files("rejects"), counts["duplicates"])


def _read(viewership: list[str], viewer_hour: list[str], rejects: list[str], duplicates: int) -> Figures:
    with duckdb.connect() as db:
        ((rows, plays, seconds, checksum),) = db.execute(VIEWERSHIP, {"files": viewership}).fetchall()
        ((hour_rows, hour_plays, hour_seconds, viewers, hour_checksum),) = db.execute(
            VIEWER_HOUR, {"files": viewer_hour}
        ).fetchall()
        reasons = dict(db.execute(REJECTS, {"files": rejects}).fetchall())
    return Figures(
        plays=plays,
        watched_seconds=seconds,
        viewers=viewers,
        duplicates=duplicates,
        rejects=reasons,
        viewership_rows=rows,
        viewership_checksum=checksum,
        viewer_hour_rows=hour_rows,
        viewer_hour_plays=hour_plays,
        viewer_hour_watched_seconds=hour_seconds,
        viewer_hour_checksum=hour_checksum,
    )


def check_equal(name: str, found: Figures, expected: Figures) -> None:
    """Raise a BenchError that names each figure by which a contender differs from the local engine."""
    mine, theirs = asdict(found), asdict(expected)
    differing = [key for key in mine if mine[key] != theirs[key]]
    if differing:
        lines = [f"{key}: {mine[key]!r}, the local engine {theirs[key]!r}" for key in differing]
        message = f"{name} counted otherwise:\n  " + "\n  ".join(lines)
        raise BenchError(message)

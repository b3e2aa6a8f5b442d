"""The results of a contender, which all must have the same: both tables row by row, rejects by reason, duplicates."""

import json
from dataclasses import dataclass
from pathlib import Path

import duckdb

from bench.measure import BenchError

ROWS = {
    "viewership": """select episode_id::bigint as episode_id, country::varchar as country,
        local_hour::bigint as local_hour, device::varchar as device, plays::bigint as plays,
        watched_seconds::bigint as watched_seconds""",
    "viewer_hour": """select viewer::ubigint as viewer, episode_id::bigint as episode_id, country::varchar as country,
        language::varchar as language, plays::bigint as plays, watched_seconds::bigint as watched_seconds,
        first_at::timestamp as first_at, last_at::timestamp as last_at""",
    "rejects": "select reason::varchar as reason, count(*) as rejects",
}
"""What is compared: each row of the first two, and the number of rejects by reason."""
SHOWN = 3


@dataclass(frozen=True)
class Results:
    """Parquet files of each output, and the number of duplicates."""

    files: dict[str, list[str]]
    duplicates: int

    def query(self, output: str) -> str:
        """Return the query of the compared rows of an output."""
        source = f"{ROWS[output]} from read_parquet({self.files[output]})"
        return f"{source} group by all" if output == "rejects" else source


def results_of_lake(out: Path) -> Results:
    """Return the results of Marquee's own rollup."""
    (marker,) = out.glob("markers/rollup/*/_SUCCESS")
    manifest = json.loads(marker.read_text(encoding="utf-8"))
    files = {
        output: [str(out / one["key"]) for one in manifest["outputs"] if one["dataset"] == output] for output in ROWS
    }
    return Results(files, manifest["counts"]["duplicates"])


def results_of_script(out: Path) -> Results:
    """Return the results of a plain script: each output is a file, or a folder of files."""
    files = {}
    for output in ROWS:
        path = out / f"{output}.parquet"
        files[output] = [str(one) for one in path.glob("*.parquet")] if path.is_dir() else [str(path)]
    counts = json.loads((out / "counts.json").read_text(encoding="utf-8"))
    return Results(files, counts["duplicates"])


def summarise(results: Results) -> dict[str, int]:
    """Return the numbers of events, duplicates, rejects, and rows of both tables."""
    queries = {
        "events": f"select sum(plays) from ({results.query('viewership')})",  # noqa: S608 - as in all queries here
        "rejects": f"select coalesce(sum(rejects), 0) from ({results.query('rejects')})",  # noqa: S608
        "viewership_rows": f"select count(*) from ({results.query('viewership')})",  # noqa: S608
        "viewer_hour_rows": f"select count(*) from ({results.query('viewer_hour')})",  # noqa: S608
    }
    with duckdb.connect() as db:
        numbers = {name: int(db.execute(query).fetchall()[0][0]) for name, query in queries.items()}
    return {**numbers, "duplicates": results.duplicates}


def check_equal(name: str, found: Results, expected: Results) -> None:
    """Raise a BenchError that names the rows by which a contender differs from the local engine."""
    differences = []
    if found.duplicates != expected.duplicates:
        differences.append(f"duplicates: {found.duplicates:,}, the local engine {expected.duplicates:,}")
    with duckdb.connect() as db:
        for output in ROWS:
            mine, theirs = found.query(output), expected.query(output)
            for what, one, other in (("only there", mine, theirs), ("missing", theirs, mine)):
                rows = db.sql(f"({one}) except all ({other})").limit(SHOWN + 1).fetchall()
                if rows:
                    more = ", …" if len(rows) > SHOWN else ""
                    differences.append(f"{output}, {what}: {', '.join(map(str, rows[:SHOWN]))}{more}")
    if differences:
        message = f"{name} has other results:\n  " + "\n  ".join(differences)
        raise BenchError(message)

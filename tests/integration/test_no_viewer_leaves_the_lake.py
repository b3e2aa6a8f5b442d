"""No user id and no pseudonym is in what leaves the viewer-level data: marts, answers, reviews, logs, markers."""

import hashlib
import hmac
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from jobs.cli.__main__ import main
from marquee.lake.markers import Markers
from marquee.mart.questions import QUESTIONS
from tests.attacker.worlds import KEY, Made, make, random_world, user_of

VIEWER_LEVEL = re.compile(rb"viewer_|_viewer/|viewers|sitting|rejects|raw/")
"""Objects that hold viewers: those of the lake that are of viewers, and the raw events."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A random world after a run of all stages."""
    return make(tmp_path_factory.mktemp("world"), random_world(5, days=2))


@pytest.fixture(scope="module")
def names(made: Made) -> re.Pattern[bytes]:
    """A pattern of every viewer: the user id, and the pseudonym as a number, signed or not, or in hexadecimal."""
    found: set[bytes] = set()
    for viewer in {one.viewer for one in made.world.plays}:
        user = user_of(viewer).encode()
        digest = hmac.digest(KEY.encode(), user, hashlib.sha256)[:8]
        for order in ("big", "little"):
            number = int.from_bytes(digest, order)
            found |= {user, str(number).encode(), str(number - 2**64).encode(), f"{number:016x}".encode()}
    return re.compile(b"|".join(sorted(map(re.escape, found))))


def test_the_pattern_finds_viewers_where_they_belong(made: Made, names: re.Pattern[bytes]) -> None:
    """The raw events have user ids, and viewer_day has pseudonyms."""
    raw = b"".join(one.read_bytes() for one in (made.folder / "raw").rglob("*.json"))
    assert names.search(raw)
    viewers = {
        str(viewer)
        for path in (made.folder / "lake").rglob("viewer_day/*.parquet")
        for (viewer,) in duckdb.read_parquet(str(path)).select("viewer").fetchall()
    }
    assert viewers
    assert all(names.fullmatch(one.encode()) for one in viewers)


def test_nothing_that_leaves_the_lake_names_a_viewer(
    made: Made,
    names: re.Pattern[bytes],
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    """No table of a mart, answer, review, log, marker or name of a file has a user id or a pseudonym."""
    monkeypatch.setenv("MARQUEE_CONFIG", str(made.folder / "marquee.toml"))
    monkeypatch.setenv("MARQUEE_MART__URL", f"duckdb://{made.folder / 'kiosk.duckdb'}")
    monkeypatch.setenv("MARQUEE_LOG__LEVEL", "debug")
    page = made.folder / "review.html"
    shows = [f"--remove={show}" for show in list(made.world.shows)[:2]]
    commands = [["mart-load"], ["status"], ["status", "--format", "json"], ["what-if", *shows]]
    commands += [["what-if", "--order", "keep", "--format", "json"], ["report", "--out", str(page)]]
    commands += [["ask", one.name, "--format", form] for one in QUESTIONS for form in ("json", "csv")]
    for command in commands:
        assert main(command) == 0, command
    out, error = capfdbinary.readouterr()
    assert b'"title"' in out
    for what, text in {"output": out, "log": error, "review": page.read_bytes()}.items():
        assert names.search(text) is None, what
    for name, text in _published(made):
        assert names.search(text) is None, name


def _published(made: Made) -> Iterator[tuple[str, bytes]]:
    """Yield the rows of each table of the mart, and the text and names of the lake's objects that hold no viewers."""
    with duckdb.connect(made.folder / "kiosk.duckdb", read_only=True) as db:
        for (table,) in db.execute("select table_name from duckdb_tables()").fetchall():
            yield table, repr(db.execute(f"from {table}").fetchall()).encode()
    lake = made.folder / "lake"
    for path in filter(Path.is_file, lake.rglob("*")):
        name = str(path.relative_to(made.folder)).encode()
        yield str(path), name
        if VIEWER_LEVEL.search(name) is None:
            rows = repr(duckdb.read_parquet(str(path)).fetchall()).encode() if path.suffix == ".parquet" else b""
            yield str(path), rows or path.read_bytes()
    assert Markers(made.lake).of("rollup")

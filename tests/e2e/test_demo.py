"""The demo as a user runs it: it finds the planted answers, repeats nothing, and survives being killed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymysql.cursors import DictCursor

from jobs.cli.__main__ import main
from jobs.cli.demo import FILE
from jobs.mart_load.dimensions import DIMENSIONS
from jobs.simulate.planted import (
    ANSWERS,
    BINGED,
    CRIME_EVENING,
    CRIME_GENRE,
    JAPAN,
    KEPT,
    KOREA_GENRE,
    LOST,
    LOYAL,
    MULTILINGUAL,
    ONLY,
    PACED,
)
from jobs.simulate.settings import SimulateSettings
from marquee.lake.manifest import Marker
from marquee.mart import schema
from marquee.mart.base import read_mart
from marquee.mart.questions import QUESTIONS, ask
from marquee.mart.settings import MartSettings
from tests.charts.dashboards import dashboard, filled_in, queries
from tests.helpers_mart import content, kiosk_of, load
from tests.mariadb_server import MariaDB, MysqlDatabase, mysql_database
from tests.small_world import SmallWorld, digests

# As small as the answers allow: shares of viewers are shown for shows that reached fifty, which the planted show with
# the small audience has to reach, and still be smaller than the others.
PLANTED = ["--days", "6", "--events-per-day", "140000"]
TINY = ["--days", "1", "--events-per-day", "1000"]
FIRST_DAY = str(SimulateSettings().start)
Answer = Callable[..., list[dict[str, Any]]]


def start_demo(folder: Path, size: list[str]) -> subprocess.Popen[str]:
    """Start the demo in a folder."""
    command = [sys.executable, "-m", "jobs.cli", "demo", "--folder", str(folder), *size]
    # The demo ignores settings of the environment that it starts in.
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    environment |= {"MARQUEE_LAKE": "s3://not-there", "PATH": os.defpath}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_demo(folder: Path, size: list[str]) -> str:
    """Run the demo to its end, without an error or any output on standard error, and return its output."""
    with start_demo(folder, size) as demo:
        out, error = demo.communicate()
    assert (demo.returncode, error) == (0, "")
    return out


@dataclass(frozen=True)
class Demo:
    """A folder in which the demo has run, and the output of the demo."""

    world: SmallWorld
    printed: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo over enough days and events for every planted answer."""
    folder = tmp_path_factory.mktemp("demo")
    return Demo(SmallWorld(folder), run_demo(folder, PLANTED))


@pytest.fixture
def answer(demo: Demo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Answer:
    """Return a function that asks the demo's mart with the command."""
    monkeypatch.setenv("MARQUEE_CONFIG", str(demo.world.config))

    def ask(question: str, *arguments: str) -> list[dict[str, Any]]:
        assert main(["ask", question, *arguments, "--format", "json"]) == 0
        rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
        return rows

    return ask


# The planted answers, each as its claim in jobs/simulate/planted.py says


def test_romance_leads_in_korea_and_nowhere_else(answer: Answer) -> None:
    """Romance has the most hours in Korea and in no other country."""
    assert [row["country"] for row in answer("genre-hours", "--limit", "1")] == ["KR"]
    leaders = {row["country"]: row["genre"] for row in answer("genre-hours", "--all", "--only", "place=1")}
    assert len(leaders) == len(SimulateSettings().countries)
    assert [country for country, genre in leaders.items() if genre == KOREA_GENRE] == ["KR"]


def test_crime_is_for_the_evening_in_the_united_states_alone(answer: Answer) -> None:
    """In the viewers' local time, crime leads in the evening in the United States and in the morning elsewhere."""
    assert answer("genre-daypart")[0]["daypart"] == "evening"
    rows = answer("genre-daypart", "--all", "--only", f"genre={CRIME_GENRE}", "--only", "place=1")
    first = {row["country"]: row["daypart"] for row in rows}
    others = dict.fromkeys(set(SimulateSettings().countries) - {CRIME_EVENING}, "morning")
    assert first == others | {CRIME_EVENING: "evening"}


def test_one_show_lost_its_audience_when_it_ended(answer: Answer) -> None:
    """Of the two shows that ended, one lost its audience and the other kept it."""
    lost, kept = answer("after-the-end")
    assert (lost["title"], kept["title"]) == (LOST.name, KEPT.name)
    assert lost["after_percent"] < 30
    assert 80 < kept["after_percent"] < 120


def test_show_of_multilingual_viewers(answer: Answer) -> None:
    """Nearly all viewers of the planted show are multilingual, and at most a third of any other show's."""
    first, second, *_ = answer("multilingual")
    assert first["title"] == MULTILINGUAL.name
    assert first["share_percent"] > 80
    assert second["share_percent"] < 33


def test_small_but_loyal_show(answer: Answer) -> None:
    """The planted show has few viewers, and they watch nearly all of it."""
    first, second, *_ = answer("small-but-loyal")
    assert (first["title"], first["small_but_loyal"]) == (LOYAL.name, "yes")
    assert first["loyalty_percent"] > 70
    assert second["small_but_loyal"] == "no" or second["loyalty_percent"] < 35


def test_show_that_is_binged(answer: Answer) -> None:
    """The planted show is binged, and its twin with as much viewing is not."""
    (first,) = answer("binge", "--limit", "1")
    assert first["title"] == BINGED.name
    assert first["binge5_percent"] > 80
    (twin,) = answer("binge", "--only", f"title={PACED.name}")
    assert twin["binge_percent"] == 0
    hours = {row["title"]: row["hours"] for row in answer("top-shows", "--limit", "0")}
    assert hours[PACED.name] == pytest.approx(hours[BINGED.name], rel=0.25)


def test_show_that_must_not_be_cancelled(answer: Answer) -> None:
    """More than 90 % of the planted show's viewers watch nothing else, and less than 25 % of any other show's."""
    first, second, *_ = answer("must-not-cancel")
    assert first["title"] == ONLY.name
    assert first["sole_percent"] > 90
    assert second["sole_percent"] < 25


def test_show_that_is_low_worldwide_and_big_in_japan(answer: Answer) -> None:
    """The planted show leads in Japan and is far down the worldwide list."""
    first = answer("big-in-one-country")[0]
    assert (first["title"], first["country"], first["country_place"]) == (JAPAN.name, "JP", 1)
    assert first["world_place"] > 50


def test_demo_prints_every_question_with_its_answer(demo: Demo) -> None:
    """The demo prints every question in order with its answer, and the claim and the show of each planted answer."""
    places = [demo.printed.index(question.words) for question in QUESTIONS]
    assert places == sorted(places)
    for planted in ANSWERS:
        assert f"planted: {planted.claim}" in demo.printed
        for _, name in planted.shows[:1]:
            assert f"\n{name}  " in demo.printed
    assert "(no rows)" not in demo.printed
    assert demo.printed.rstrip().endswith("CC BY-SA 4.0 (the demo's data are made up)")


def test_demo_ends_with_commands_that_work(demo: Demo) -> None:
    """The demo ends with commands that work as printed, in a shell whose PATH has no ``marquee``."""
    export, look = demo.printed.split("To look around:\n")[1].splitlines()[:2]
    shell = ["/bin/sh", "-ec", f"{export}\n{look}"]
    done = subprocess.run(shell, env={"PATH": os.defpath}, capture_output=True, text=True, check=True)
    assert [done.stdout.count(title) for title in ("\nprofile  ", QUESTIONS[0].words, '"title": ')] == [1, 1, 3]


def test_demo_tells_of_the_late_files(demo: Demo) -> None:
    """The demo reports the late files of days 0, 2 and 4, which restate three hours and no other."""
    assert "2. made: schedule-fetch 34, rollup 144, profile " in demo.printed
    assert "3. 3 files arrive late\n4. made: rollup 3, profile " in demo.printed
    again = {name for name, generation in demo.world.generations().items() if generation > 1}
    days = [f"2026-01-{day:02}" for day in (5, 7, 9)]
    assert {name for name in again if name.startswith(("rollup", "schedule"))} == {f"rollup/{day}T14" for day in days}


# The same in MySQL


def test_mysql_answers_alike(demo: Demo, mysql_mart: MysqlDatabase) -> None:
    """A MySQL mart of the same lake has the same rows in every view and the same answers in the same order."""
    assert load(demo.world.lake, mysql_mart).exit_code == 0
    marts = [kiosk_of(mysql_mart), kiosk_of(demo.world.kiosk)]
    for question in QUESTIONS:
        in_mysql, in_duckdb = (ask(mart, question.name, 0) for mart in marts)
        assert in_mysql[1], question.name
        assert in_mysql == in_duckdb, question.name
    views = [one.name for one in schema.relations() if one.kind == "view"]
    for view in views:
        rows, expected = (_sorted_rows(mart, f"select * from {view}") for mart in marts)  # noqa: S608 - our own names
        assert rows == expected, view
    assert content(mysql_mart, DIMENSIONS) == content(demo.world.kiosk, DIMENSIONS)


# The analyst's dashboard in Grafana


@pytest.fixture(scope="module")
def dashboard_mart(demo: Demo, mariadb: MariaDB) -> Iterator[MysqlDatabase]:
    """A MySQL mart of the demo's lake."""
    with mysql_database(mariadb) as mart:
        assert load(demo.world.lake, mart).exit_code == 0
        yield mart


def shown_by(mart: MysqlDatabase, title: str, **chosen: str) -> list[dict[str, Any]]:
    """Return the rows that a panel shows for these variables."""
    (query,) = (one for panel, one in queries(dashboard("audience")) if panel == title)
    with mart.connect(cursorclass=DictCursor) as connection, connection.cursor() as cursor:
        cursor.execute(filled_in(query, {"country": "KR", "genre": CRIME_GENRE, "period": "2026-W02"} | chosen))
        return list(cursor.fetchall())


def test_panels_of_the_analyst_give_the_planted_answers(dashboard_mart: MysqlDatabase) -> None:
    """The panel of each planted question starts with the planted answer for the question's country and genre."""
    firsts = {
        ("What genre gets the most viewing hours here?", "KR"): ("genre", KOREA_GENRE),
        ("Do people watch the genre in the morning or in the evening?", CRIME_EVENING): ("daypart", "evening"),
        ("Do people watch the genre in the morning or in the evening?", "KR"): ("daypart", "morning"),
        ("Does a show's popularity drop after it stopped production?", ""): ("title", LOST.name),
        ("Which shows must not be cancelled?", ""): ("title", ONLY.name),
        ("Which shows are low worldwide and big here?", "JP"): ("title", JAPAN.name),
        ("Is a show popular with a small but loyal audience?", ""): ("title", LOYAL.name),
        ("Do people binge-watch a show?", ""): ("title", BINGED.name),
        ("What shows are popular with multilingual viewers?", ""): ("title", MULTILINGUAL.name),
    }
    found = {
        (title, country): (column, shown_by(dashboard_mart, title, country=country)[0][column])
        for (title, country), (column, _) in firsts.items()
    }
    assert found == firsts


def test_panels_of_the_analyst_say_what_the_questions_say(dashboard_mart: MysqlDatabase) -> None:
    """The panels of other questions show the same figures in the same order as `marquee ask`."""
    asked = {
        "Are we licensing the right shows?": "top-shows",
        "By show": "engagement-by-show",
        "By genre": "engagement-by-genre",
        "By network": "engagement-by-network",
        "By country": "engagement-by-country",
    }
    for title, question in asked.items():
        columns, rows = ask(kiosk_of(dashboard_mart), question)
        shown = shown_by(dashboard_mart, title)
        names = list(shown[0])
        assert set(names) <= set(columns), title
        assert [list(row.values()) for row in shown][:10] == [
            [dict(zip(columns, row, strict=True))[name] for name in names] for row in rows
        ][:10], title


def test_panels_of_time_and_period_show_all_that_is_loaded(dashboard_mart: MysqlDatabase) -> None:
    """The panels over time and periods show all loaded hours, days and shows of the selection, in order of time."""
    hours = shown_by(dashboard_mart, "Hours watched by hour")
    ((seconds,),) = dashboard_mart.ask("select sum(watched_seconds) from fact_viewership where country = 'KR'")
    assert sum(float(row["hours"]) for row in hours) == pytest.approx(float(seconds) / 3600, rel=1e-4)
    times = [row["time"] for row in hours]
    assert times[0] == 1767571200  # 2026-01-05T00:00Z
    assert set(times) <= set(range(times[0], times[0] + 6 * 86400, 3600))
    assert times == sorted(times)
    days = shown_by(dashboard_mart, "Active viewers by day")
    assert [row["time"] for row in days] == [1767571200 + day * 86400 for day in range(6)]
    shows = shown_by(dashboard_mart, "Shows of the period", country="**")
    top = shown_by(dashboard_mart, "Are we licensing the right shows?")
    assert shows[0]["reach"] == max(row["reach"] for row in top)


def test_variables_of_the_analyst_offer_what_there_is(dashboard_mart: MysqlDatabase) -> None:
    """The variables of the dashboard offer the loaded countries, genres and periods, the latest period first."""
    offered = {
        one["name"]: [value for (value,) in dashboard_mart.ask(one["query"])]
        for one in dashboard("audience")["templating"]["list"]
        if one["type"] == "query"
    }
    assert set(SimulateSettings().countries) <= set(offered["country"])
    assert {KOREA_GENRE, CRIME_GENRE} <= set(offered["genre"])
    assert {"2026-W02", "2026-01", "2026-Q1", FIRST_DAY} <= set(offered["period"])


def _sorted_rows(mart: MartSettings, sql: str) -> list[tuple[Any, ...]]:
    with read_mart(mart) as opened:
        return sorted(opened.query(sql)[1], key=repr)


# Repeated runs


def test_second_run_makes_nothing_and_says_so(demo: Demo) -> None:
    """A second run of the demo writes no object and no table again and prints the same answers."""
    before = {path: path.stat().st_mtime_ns for path in sorted(demo.world.lake.root.rglob("*"))}
    ledger = content(demo.world.kiosk, ["load_ledger"])
    printed = run_demo(demo.world.folder, PLANTED)
    assert {path: path.stat().st_mtime_ns for path in sorted(demo.world.lake.root.rglob("*"))} == before
    assert content(demo.world.kiosk, ["load_ledger"]) == ledger
    assert "2. nothing was pending\n3. the late files had already arrived\n" in printed
    assert "Everything was up to date; nothing was made again" in printed
    assert answers_in(printed) == answers_in(demo.printed)


def answers_in(printed: str) -> str:
    """Return the output from the first question to the last answer."""
    start, end = printed.index(QUESTIONS[0].words), printed.index("\n\n", printed.index(QUESTIONS[-1].words))
    return printed[start:end]


def test_other_size_needs_another_folder(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A demo of another size in the same folder ends with 78 and names the differences."""
    monkeypatch.setenv("MARQUEE_CONFIG", "")  # the demo sets it; monkeypatch restores it
    assert main(["demo", "--folder", str(demo.world.folder), *TINY]) == 78
    assert "(days was 6, now 1, events_per_day was 140000, now 1000)" in capsys.readouterr().err


def test_lake_made_anew_with_other_workers_has_the_same_bytes(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lake made again by three workers instead of one a core has the same bytes in its hours and its day."""
    anew = SmallWorld(tmp_path)
    monkeypatch.setenv("MARQUEE_CONFIG", str(demo.world.config))
    monkeypatch.setenv("MARQUEE_LAKE", anew.lake.url)
    monkeypatch.setenv("MARQUEE_ENGINE__WORKERS", "3")
    for command in ("rollup", "profile"):
        assert main([command, FIRST_DAY]) == 0
    names = {f"rollup/{FIRST_DAY}T{hour:02}" for hour in range(24)} | {f"profile/{FIRST_DAY}"}
    assert chosen(anew.markers(), names) == chosen(demo.world.markers(), names)


def chosen(markers: dict[str, Marker], names: set[str]) -> dict[str, dict[str, str]]:
    """Return the digests of the outputs of these markers."""
    return digests({name: markers[name] for name in names})


# Killed runs


def count(folder: Path, pattern: str) -> int:
    """Count files."""
    return len(list(folder.glob(pattern)))


MOMENTS: list[Callable[[Path], bool]] = [
    lambda folder: count(folder, "raw/topics/**/*.json.gz") > 9,
    lambda folder: count(folder, "lake/markers/rollup/*/_SUCCESS") > 9,
    lambda folder: count(folder, "lake/data/audience/*/*/*") > 0,
    lambda folder: (folder / "kiosk.duckdb").exists(),
    # The late file is there, and the hour that it restates is being made again.
    lambda folder: count(folder, "lake/data/rollup/2026-01-05T14/run=*") > 1,
]
"""Moments to kill the demo: while it simulates, rolls up, makes audiences, loads, and processes a late file."""


def test_killed_again_and_again_it_ends_in_the_same_answers(tmp_path: Path) -> None:
    """A demo killed with SIGKILL in each of its steps ends, after a restart, with the same bytes and rows."""
    alone, killed = SmallWorld(tmp_path / "alone"), SmallWorld(tmp_path / "killed")
    printed = run_demo(alone.folder, TINY)
    killed.folder.mkdir()
    # The same key and address: viewers' pseudonyms and markers depend on them.
    killed.config.write_text((alone.folder / FILE).read_text().replace(str(alone.folder), str(killed.folder)))
    for moment in MOMENTS:
        kill_at(killed.folder, moment)
    last = run_demo(killed.folder, TINY)
    assert answers_in(last) == answers_in(printed)
    assert digests(killed.markers()) == digests(alone.markers())
    assert count(killed.folder, "lake/data/*/*/run=*") > count(alone.folder, "lake/data/*/*/run=*")
    assert facts_of(killed) == facts_of(alone)


def kill_at(folder: Path, moment: Callable[[Path], bool]) -> None:
    """Run the demo until the moment comes, and kill it."""
    with start_demo(folder, TINY) as demo:
        try:
            while not moment(folder):
                assert demo.poll() is None, f"it ended before: {demo.communicate()}"
                time.sleep(0.03)
        finally:
            demo.kill()
            demo.communicate()
    assert demo.returncode == -9


def facts_of(world: SmallWorld) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of the mart, and of the ledger only dataset, period and number of rows."""
    rows = content(world.kiosk)
    rows["load_ledger"] = [(dataset, period, count) for dataset, period, *_, count in rows["load_ledger"]]
    return rows

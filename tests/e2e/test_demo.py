"""The demo as a user runs it: it finds the planted answers, repeats nothing, and survives being killed."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pytest
from pymysql.cursors import DictCursor

from jobs.cli.__main__ import main
from jobs.cli.demo import FILE
from jobs.mart_load.dimensions import DIMENSIONS
from jobs.mart_load.report import MartReport
from jobs.simulate.planted import (
    ANSWERS,
    BINGED,
    CRIME_EVENING,
    CRIME_GENRE,
    GREW,
    JAPAN,
    KEPT,
    KOREA_GENRE,
    LOST,
    LOYAL,
    MULTILINGUAL,
    ONLY,
    PACED,
    PAIR,
    STARTED,
    STOPPED,
    UNWATCHED,
)
from jobs.simulate.settings import SimulateSettings
from marquee.lake.manifest import Marker
from marquee.mart import schema
from marquee.mart.base import read_mart
from marquee.mart.fold import OTHER_COUNTRY
from marquee.mart.questions import QUESTIONS, ask, find_question
from marquee.mart.settings import MartSettings
from marquee.storage.base import Store
from tests.attacker.attack import attack
from tests.attacker.published import Knowledge, read_published
from tests.attacker.ratios import unexplained
from tests.charts.dashboards import dashboard, filled_in, queries
from tests.helpers_mart import content, kiosk_of, load
from tests.mariadb_server import MariaDB, MysqlDatabase, mysql_database
from tests.small_world import SmallWorld, digests

# As small as the answers allow with viewers rounded to ten: shares of viewers are shown for shows that reached fifty,
# which the planted show with the small audience has to reach, and still be smaller than the others.
DAYS = 6
PLANTED = ["--days", str(DAYS), "--events-per-day", "150000"]
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
    """Romance has the most hours in Korea and in no other large country; of small ones, too much is folded to tell."""
    assert [row["country"] for row in answer("genre-hours", "--limit", "1")] == ["KR"]
    rows = answer("genre-hours", "--all", "--only", "place=1")
    leaders = {row["country"]: row["genre"] for row in rows}
    large = ("KR", "US", "JP", "BR", "IN", OTHER_COUNTRY)
    assert [country for country in large if leaders[country] == KOREA_GENRE] == ["KR"]


def test_crime_is_for_the_evening_in_the_united_states_alone(answer: Answer) -> None:
    """In the viewers' local time, crime leads in the evening in the United States and in the morning elsewhere.

    Elsewhere means countries in which enough viewers watch one of its shows in the morning of a day.
    """
    assert answer("genre-daypart")[0]["daypart"] == "evening"
    rows = answer("genre-daypart", "--all", "--only", f"genre={CRIME_GENRE}", "--only", "place=1")
    first = {row["country"]: row["daypart"] for row in rows}
    assert first.pop(CRIME_EVENING) == "evening"
    assert set(first.values()) == {"morning"}
    assert set(first) >= {"GB", "IN", "BR"}


def test_one_show_lost_its_audience_when_it_ended(answer: Answer) -> None:
    """Of the two shows that ended, one lost its audience and the other kept it."""
    together, lost, kept, *others = answer("after-the-end")
    assert (together["shows"], lost["title"], kept["title"]) == (2, LOST.name, KEPT.name)
    assert lost["after_percent"] < together["after_percent"] < kept["after_percent"]
    assert (lost["days_before"], lost["days_after"]) == (4, 2)
    assert all(row["reason"] for row in others)
    assert lost["after_percent"] < 30
    assert 80 < kept["after_percent"] < 120


def test_show_of_multilingual_viewers(answer: Answer) -> None:
    """The planted show has the most multilingual viewers: nearly all its own, and at most a third of other shows'."""
    first, *others = answer("multilingual")
    assert first["title"] == MULTILINGUAL.name
    assert first["share_percent"] > 80
    assert max(row["share_percent"] or 0 for row in others) < 33


def test_small_but_loyal_show(answer: Answer) -> None:
    """The planted show has few viewers, who watch nearly all of it and come back; no other show is small but loyal."""
    first, second, *_ = answer("small-but-loyal")
    assert (first["title"], first["small_but_loyal"]) == (LOYAL.name, "yes")
    assert first["loyalty_percent"] > 70
    assert first["return_days"] > 5
    assert first["loyal_viewers_percent"] > 90
    assert second["small_but_loyal"] == "no"


def test_shows_that_start_at_once_and_slowly(answer: Answer) -> None:
    """One show has most of its viewers of three days on the first, the other gains most of them after it."""
    reach = {(row["title"], row["age"]): row["reach"] for row in answer("launch", "--limit", "0")}
    assert reach[STARTED.name, 1] > 0.6 * reach[STARTED.name, 3]
    assert reach[GREW.name, 1] < 0.5 * reach[GREW.name, 3]


def test_season_whose_viewers_stop(answer: Answer) -> None:
    """Seven of ten viewers of the planted season stop after its fourth episode; no other season loses as many."""
    first, *others = answer("where-they-stop", "--limit", "0")
    assert (first["title"], first["stop_after"]) == (STOPPED.name, 4)
    assert 60 < first["stop_percent"] < 80
    assert all((row["stop_percent"] or 0) < first["stop_percent"] for row in others)


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
    """More than 90 % of the planted show's viewers watch nothing else; they are four times those of any other."""
    first, second, *others = answer("must-not-cancel")
    assert first["title"] == ONLY.name
    assert first["sole_percent"] > 90
    assert second["sole_viewers"] < first["sole_viewers"] / 4
    assert max(row["sole_percent"] or 0 for row in (second, *others)) < 25


def test_show_that_is_low_worldwide_and_big_in_japan(answer: Answer) -> None:
    """The planted show leads in Japan and is far down the worldwide list."""
    first = answer("big-in-one-country")[0]
    assert (first["title"], first["country"], first["country_place"]) == (JAPAN.name, "JP", 1)
    assert first["world_place"] > 50


def test_pair_that_loses_all_only_together(answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither show of the pair loses a viewer alone; both together lose all, who watch the other one, too.

    Viewers of one show are rounded to tens, those of two to 30, so that 40 are told as 30.
    """
    one, other = (show.name for show in PAIR)
    first, second, *_ = answer("overlap")
    assert {(row["title"], row["other_title"]) for row in (first, second)} == {(one, other), (other, one)}
    assert first["share_percent"] == second["share_percent"] == 100
    steps = answer("removal-order", "--limit", "0")
    (step,) = [row for row in steps if row["title"] in {one, other}][:1]
    assert step["left_with_nothing"] == 0
    capsys.readouterr()
    assert main(["what-if", "--remove", one, other, "--format", "json"]) == 0
    lost = json.loads(capsys.readouterr().out)[0]
    assert first["reach"] == 40
    assert lost["left_with_nothing"] == lost["reach"] == lost["set_effect"] == 30
    assert lost["one_by_one"] == 0


def test_show_that_nobody_watches(answer: Answer) -> None:
    """The planted show is the only one without any viewing, since the first day."""
    (nobody,) = [row for row in answer("nobody-watches") if row["viewing"] == "none"]
    assert (nobody["title"], nobody["last_watched"]) == (UNWATCHED.name, None)
    assert str(nobody["loaded_from"]) == FIRST_DAY


def test_demo_prints_every_question_with_its_answer(demo: Demo) -> None:
    """The demo prints every question in order with its answer, and the claim and the show of each planted answer."""
    places = [demo.printed.index(question.words) for question in QUESTIONS]
    assert places == sorted(places)
    for planted in (one for one in ANSWERS if one.days == 1):
        assert f"planted: {planted.claim}" in demo.printed
        for _, name in planted.shows[:1]:
            assert f"\n{name}  " in demo.printed
    # A week cannot tell who left within 28 days.
    assert demo.printed.count("(no rows)") == 1
    assert f"(no rows)\n{find_question('lost-viewers').nothing}\n" in demo.printed
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
    assert load_by_default(demo.world.lake, mysql_mart).exit_code == 0
    marts = [kiosk_of(mysql_mart), kiosk_of(demo.world.kiosk)]
    for question in QUESTIONS:
        in_mysql, in_duckdb = (ask(mart, question.name, 0) for mart in marts)
        assert in_mysql[1] or question.nothing, question.name
        assert in_mysql == in_duckdb, question.name
    views = [one.name for one in schema.relations() if one.kind == "view"]
    for view in views:
        rows, expected = (_sorted_rows(mart, f"select * from {view}") for mart in marts)  # noqa: S608 - our own names
        assert rows == expected, view
    assert content(mysql_mart, DIMENSIONS) == content(demo.world.kiosk, DIMENSIONS)


# Its viewers


def test_attacker_recovers_no_viewers_of_the_demo(demo: Demo) -> None:
    """From the demo's mart, the attacker determines no number of fewer than ten viewers, and no ratio tells one.

    He knows that no viewer watches in two countries, as is so in the demo.
    """
    with read_mart(kiosk_of(demo.world.kiosk)) as mart:
        assert mart.query("select min_cell, detail from kiosk")[1] == [(10, "day")]
    published = read_published(demo.world.kiosk)
    found = attack([published], Knowledge(10, one_country=True), linear=False)  # integer programs take far longer
    assert found.targets > 1_000_000
    assert (found.recovered, list(unexplained(published, 10))) == ([], [])


# The analyst's dashboard in Grafana


@pytest.fixture(scope="module")
def dashboard_mart(demo: Demo, mariadb: MariaDB) -> Iterator[MysqlDatabase]:
    """A MySQL mart of the demo's lake, protected by default."""
    with mysql_database(mariadb) as mart:
        assert load_by_default(demo.world.lake, mart).exit_code == 0
        yield mart


def load_by_default(lake: Store, mart: MysqlDatabase) -> MartReport:
    """Load a mart with the default protection."""
    return load(lake, mart, min_cell=MartSettings.model_fields["min_cell"].default)


def shown_by(mart: MysqlDatabase, title: str, **chosen: str) -> list[dict[str, Any]]:
    """Return the rows that a panel shows for these variables."""
    (query,) = (one for panel, one in queries(dashboard("audience")) if panel == title)
    with mart.connect(cursorclass=DictCursor) as connection, connection.cursor() as cursor:
        cursor.execute(filled_in(query, {"country": "KR", "genre": CRIME_GENRE, "period": "2026-W02"} | chosen))
        return list(cursor.fetchall())


def first_shown_by(mart: MysqlDatabase, title: str, **chosen: str) -> dict[str, Any]:
    """Return the first row that a panel shows, below that of all shows compared."""
    return next(row for row in shown_by(mart, title, **chosen) if row.get("title") != "All shows compared")


def test_panels_of_the_analyst_give_the_planted_answers(dashboard_mart: MysqlDatabase) -> None:
    """The panel of each planted question starts with the planted answer for the question's country and genre."""
    firsts = {
        ("What genre gets the most viewing hours here?", "KR"): ("genre", KOREA_GENRE),
        ("Do people watch the genre in the morning or in the evening?", CRIME_EVENING): ("daypart", "evening"),
        ("Do people watch the genre in the morning or in the evening?", "GB"): ("daypart", "morning"),
        ("Does a show's popularity drop after it stopped production?", ""): ("title", LOST.name),
        ("Which shows must not be cancelled?", ""): ("title", ONLY.name),
        ("Which shows are low worldwide and big here?", "JP"): ("title", JAPAN.name),
        ("Is a show popular with a small but loyal audience?", ""): ("title", LOYAL.name),
        ("Do people binge-watch a show?", ""): ("title", BINGED.name),
        ("What shows are popular with multilingual viewers?", ""): ("title", MULTILINGUAL.name),
    }
    found = {
        (title, country): (column, first_shown_by(dashboard_mart, title, country=country)[column])
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
        "What does each show of the catalogue bring?": "catalogue",
        "Which shows and genres gain or lose hours and viewers?": "trend",
        "What can be removed at the least cost?": "removal-order",
        "Which shows reach the most people together?": "keep-order",
        "What else do a show's viewers watch?": "overlap",
        "What does nobody watch?": "nobody-watches",
        "Do viewers leave when their show ends?": "lost-viewers",
        "Where do viewers stop?": "where-they-stop",
        "How did a show start?": "launch",
    }
    for title, question in asked.items():
        columns, rows = ask(kiosk_of(dashboard_mart), question)
        shown = shown_by(dashboard_mart, title)
        assert bool(shown) == bool(rows), title
        names = list(shown[0]) if shown else []
        assert set(names) <= set(columns), title
        assert [list(row.values()) for row in shown][:10] == [
            [dict(zip(columns, row, strict=True))[name] for name in names] for row in rows
        ][:10], title


def test_panels_of_time_and_period_show_all_that_is_loaded(dashboard_mart: MysqlDatabase) -> None:
    """The panels over time and periods show all loaded days and shows of the selection, in order of time."""
    midnights = [1767571200 + day * 86400 for day in range(6)]  # from 2026-01-05T00:00Z
    hours = shown_by(dashboard_mart, "Hours watched by day")
    ((seconds,),) = dashboard_mart.ask("select sum(watched_seconds) from fact_viewership where country = 'KR'")
    assert sum(float(row["hours"]) for row in hours) == pytest.approx(float(seconds) / 3600, rel=1e-4)
    assert [row["time"] for row in hours] == midnights
    days = shown_by(dashboard_mart, "Active viewers by day")
    assert [row["time"] for row in days] == midnights
    shows = shown_by(dashboard_mart, "Shows of the period", country="**")
    top = shown_by(dashboard_mart, "Are we licensing the right shows?")
    assert shows[0]["reach"] == max(row["reach"] for row in top[1:])  # below the row of all shows


def test_panel_of_periods_to_date_lists_what_lacks_hours(dashboard_mart: MysqlDatabase) -> None:
    """The panel of periods to date lists the week, month and quarter of the demo's six days, and no day."""
    hours = {
        row["period"]: (row["hours"], row["hours_expected"]) for row in shown_by(dashboard_mart, "Periods to date")
    }
    assert hours == {"2026-Q1": (144, 2160), "2026-01": (144, 744), "2026-W02": (144, 168)}


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


# The page at the end


def test_demo_ends_with_a_page_that_shows_what_was_planted(demo: Demo) -> None:
    """The demo prints where its page is; there, each planted claim stands in its question with the planted shows."""
    file = demo.world.folder / "review.html"
    assert f"\n  {file}\n" in demo.printed
    page = file.read_text(encoding="utf-8")
    claimed = [one for one in ANSWERS if one.days <= DAYS]
    for one in claimed:
        part = page.partition(f'<section class="question" id="{one.question}"')[2].partition("</section>")[0]
        assert f"The demo made this up: {escape(one.claim)}" in part, one.question
        assert all(escape(name) in part for _, name in one.shows), one.question
    assert page.count("The demo made this up: ") == len(claimed)
    (keep,) = re.findall(r'<section class="part keep".*?</section>', page, re.DOTALL)
    assert all(escape(show.name) in keep for show in (ONLY, LOYAL, JAPAN, MULTILINGUAL))


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
    """Return the output from the first question to the last answer, without the times of loading."""
    start, end = printed.index(QUESTIONS[0].words), printed.index("\n\n", printed.index(QUESTIONS[-1].words))
    return re.sub(r"loaded \S+ \S+ UTC", "loaded", printed[start:end])


def test_other_size_needs_another_folder(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A demo of another size in the same folder ends with 78 and names the differences."""
    monkeypatch.setenv("MARQUEE_CONFIG", "")  # the demo sets it; monkeypatch restores it
    assert main(["demo", "--folder", str(demo.world.folder), *TINY]) == 78
    assert "(days was 6, now 1, events_per_day was 150000, now 1000)" in capsys.readouterr().err


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
    lambda folder: count(folder, "lake/data/rollup/2026-01-05T14/run=*") > 1,
]
"""Moments to kill the demo: while it simulates, rolls up, makes audiences, loads, and processes a late file.

None of them passes: what is there then stays until the end.
"""


def test_killed_again_and_again_it_ends_in_the_same_answers(tmp_path: Path) -> None:
    """A demo killed with SIGKILL in each of its steps ends, after a restart, with the same bytes and rows."""
    alone, killed = SmallWorld(tmp_path / "alone"), SmallWorld(tmp_path / "killed")
    printed = run_demo(alone.folder, TINY)
    killed.folder.mkdir()
    # The same address of the schedule service: markers depend on it.
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
                time.sleep(0.01)
        finally:
            demo.kill()
            demo.communicate()
    assert demo.returncode == -9


def facts_of(world: SmallWorld) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of the mart, and of the ledger only dataset, period and number of rows."""
    rows = content(world.kiosk)
    (ledger,) = [one for one in schema.relations() if one.name == "load_ledger"]
    names = [column.name for column in ledger.columns if column.name != "loaded_at"]
    kept = [names.index(one) for one in ("dataset", "period", "rows_loaded")]
    rows["load_ledger"] = [tuple(row[number] for number in kept) for row in rows["load_ledger"]]
    return rows

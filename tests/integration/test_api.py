"""The Python API: answers of a mart as Arrow tables, status and runs of a lake, and the examples in the docstrings."""

import contextlib
import doctest
import io
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import marquee
import marquee.api
from marquee.errors import BadInputError, ConfigError, MarqueeError, TryAgainError
from marquee.mart.questions import ask
from marquee.storage.local import LocalStore
from tests.helpers_mart import Kiosk, SmallLake, kiosk_of, load
from tests.mariadb_server import SqlServer, mysql_database
from tests.schedule_service import ScheduleService
from tests.small_world import CASE, DAY, SmallWorld, finished_world, told_service

HOUR = 3600
NAMES = [question.name for question in marquee.questions()]
COST = """
import sys, time
before, started = set(sys.modules), time.process_time()
import marquee
seconds = time.process_time() - started
print(seconds, *sorted(set(sys.modules) - before))
"""
"""Prints the CPU seconds of importing the package and the modules that the import loads."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """A lake with plays on two days and the audiences of both days and their week; one show ended on the first day."""
    small = SmallLake(LocalStore(tmp_path_factory.mktemp("filled") / "lake"))
    ended = {"status": "Ended", "ended": date(2026, 1, 5), "updated": datetime(2026, 1, 1)}  # noqa: DTZ001 - as the lake has it
    small.capture(
        "2026-01-05",
        shows=[{"show_id": 1, "name": "Cases", "network_id": 7, **ended}, {"show_id": 2, "name": "100% Söngs?"}],
        episodes=[{"episode_id": 11, "show_id": 1}, {"episode_id": 21, "show_id": 2}],
        genres=[{"show_id": 1, "genre": "Crime"}, {"show_id": 2, "genre": "Music"}],
        networks=[{"kind": "network", "network_id": 7, "name": "tvN", "country": "KR"}],
        countries=[{"country": "KR", "name": "Korea, Republic of"}],
    )
    for hour in range(24):
        small.hour(f"2026-01-05T{hour:02}", (11, "KR", 9, "tv", HOUR), (21, "US", 19, "tv", HOUR // 2))
        small.hour(f"2026-01-06T{hour:02}", (11, "KR", 9, "tv", HOUR // 4), (21, "KR", 23, "phone", HOUR))
    for period, reach in {"2026-01-05": 60, "2026-01-06": 80, "2026-W02": 100}.items():
        watched = {"country": "**", "watched_seconds": 10 * HOUR, "average_seconds": 360.0, "loyalty": 0.25}
        counts = {"reach": reach, "binge_viewers": 30, "binge5_viewers": 5, "sole_viewers": 15, "loyal_viewers": 1}
        small.audience(
            period,
            [{"show_id": 1, **watched, **counts}, {"show_id": 1, **watched, **counts, "country": "KR"}],
            [
                {"country": one, "active_viewers": 200, "watched_seconds": 20 * HOUR, "multilingual_viewers": 20}
                for one in ("**", "KR")
            ],
        )
    return small.store


def opened(kiosk: Kiosk) -> marquee.Mart:
    """Open a mart as the documentation does: by its path, or by its URL and password."""
    if isinstance(kiosk, Path):
        return marquee.open_mart(kiosk)
    return marquee.open_mart(kiosk.url, password=kiosk.password)


@pytest.fixture(scope="module")
def kiosks(filled: LocalStore, mariadb: SqlServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Kiosk]]:
    """The marts in DuckDB and in MariaDB, loaded from the same lake."""
    with mysql_database(mariadb) as database:
        marts: list[Kiosk] = [tmp_path_factory.mktemp("kiosks") / "kiosk.duckdb", database]
        for one in marts:
            load(filled, one)
        yield marts


@pytest.fixture(scope="module")
def kiosk_in_mysql(filled: LocalStore, mysql: SqlServer) -> Iterator[Kiosk]:
    """The mart in a real MySQL."""
    with mysql_database(mysql) as database:
        load(filled, database)
        yield database


@pytest.fixture(params=[0, 1, 2], ids=["duckdb", "mariadb", "mysql"])
def kiosk(kiosks: list[Kiosk], request: pytest.FixtureRequest) -> Kiosk:
    """The location of a loaded mart, in DuckDB, MariaDB or MySQL."""
    number: int = request.param
    mart: Kiosk = kiosks[number] if number < len(kiosks) else request.getfixturevalue("kiosk_in_mysql")
    return mart


@pytest.fixture
def mart(kiosk: Kiosk) -> marquee.Mart:
    """An open mart, in DuckDB or in MySQL."""
    return opened(kiosk)


@pytest.fixture
def file(kiosks: list[Kiosk]) -> Path:
    """The file of the mart in DuckDB."""
    (found,) = [one for one in kiosks if isinstance(one, Path)]
    return found


# The package


def test_importing_the_package_costs_nothing() -> None:
    """Importing marquee takes less than 10 ms of CPU (best of three) and loads only itself and importlib."""
    runs = [subprocess.check_output([sys.executable, "-c", COST], text=True).split() for _ in range(3)]
    modules = set(runs[0][1:])
    assert "marquee" in modules
    assert {name.partition(".")[0] for name in modules} <= {"_imp", "_warnings", "importlib", "marquee", "warnings"}
    assert min(float(seconds) for seconds, *_ in runs) < 0.010


# Answers


def test_an_answer_has_all_rows_with_types(mart: marquee.Mart) -> None:
    """KR watched Cases for 24 + 6 hours and Songs for 24, the US Songs for 12; the answer has all rows, with types."""
    found = mart.ask("genre-hours")
    assert found.schema == pa.schema(
        [
            *((name, pa.string()) for name in ("period", "country", "country_name", "genre")),
            ("place", pa.int64()),
            *((name, pa.float64()) for name in ("hours", "share_percent", "fractional_hours", "fractional_percent")),
        ]
    )
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("2026-01-05/2026-01-06", "KR", "Korea, Republic of", "Crime", 1, 30.0, 55.6, 30.0, 55.6),
        ("2026-01-05/2026-01-06", "US", "United States", "Music", 1, 12.0, 100.0, 12.0, 100.0),
        ("2026-01-05/2026-01-06", "KR", "Korea, Republic of", "Music", 2, 24.0, 44.4, 24.0, 44.4),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_that_of_the_command(kiosk: Kiosk, mart: marquee.Mart, name: str) -> None:
    """Every question has the same columns and rows, in the same order, as in the command."""
    columns, rows = ask(kiosk_of(kiosk), name, 0)
    found = mart.ask(name)
    assert (found.column_names, [tuple(row.values()) for row in found.to_pylist()]) == (columns, rows)


@pytest.mark.parametrize("period", [None, "2026-01-05"])
def test_both_databases_answer_with_the_same_table(kiosks: list[Kiosk], period: str | None) -> None:
    """DuckDB and MySQL give the same table and types for every question, with and without a period."""
    for name in NAMES:
        one, other = (opened(kiosk).ask(name, period=period) for kiosk in kiosks)
        assert one.schema == other.schema, name
        assert one.to_pylist() == other.to_pylist(), name


def test_only_and_limit_narrow_an_answer(mart: marquee.Mart) -> None:
    """Arguments only and limit work like the options --only and --limit of the command."""
    assert mart.ask("genre-hours", only={"country": "US"}).column("genre").to_pylist() == ["Music"]
    assert mart.ask("genre-hours", limit=2).column("country").to_pylist() == ["KR", "US"]
    assert mart.ask("genre-hours", only={"country": "KR", "genre": "Music"}, limit=5).num_rows == 1
    assert mart.ask("genre-hours", only={"country": "' or 1 = 1 -- ?%s"}).num_rows == 0


def test_days_are_dates(mart: marquee.Mart) -> None:
    """Days have the type date, and an empty answer has the same types as a full one."""
    found = mart.ask("after-the-end")
    assert found.select(["title", "ended", "after_percent"]).to_pylist() == [
        {"title": "All shows compared", "ended": None, "after_percent": 30.0},
        # Before: 24 of 36 hours of everything; after: 6 of 30: 100 x (6 / 24) / (30 / 36)
        {"title": "Cases", "ended": date(2026, 1, 5), "after_percent": 30.0},
    ]
    empty = mart.ask("after-the-end", only={"title": "none"})
    assert (empty.num_rows, empty.schema) == (0, found.schema)


# Periods


def test_periods_are_those_of_audiences(mart: marquee.Mart) -> None:
    """The periods of a mart are the periods of its audiences, in order of time."""
    assert mart.periods() == ("2026-01-05", "2026-01-06", "2026-W02")


def test_a_question_about_audiences_is_asked_of_one_period(mart: marquee.Mart) -> None:
    """A question about audiences takes one period, by default the one that the command reports: here the week."""
    columns = ["period", "title", "reach", "binge_percent"]
    assert mart.ask("binge").select(columns).to_pylist() == [
        {"period": "2026-W02", "title": "Cases", "reach": 100, "binge_percent": 30.0}
    ]
    assert mart.ask("binge", period="2026-01-05").select(columns).to_pylist() == [
        {"period": "2026-01-05", "title": "Cases", "reach": 60, "binge_percent": 50.0}
    ]
    here = mart.ask("big-in-one-country", period="2026-01-06", only={"country": "KR"})
    assert here.select(["title", "reach", "country_percent"]).to_pylist() == [
        {"title": "Cases", "reach": 80, "country_percent": 40.0}
    ]


@pytest.mark.parametrize(
    ("period", "shown", "hours"),
    [
        ("2026-01-06", "2026-01-06", {"Crime": 6.0, "Music": 24.0}),
        ("2026-01-05/2026-01-06", "2026-01-05/2026-01-06", {"Crime": 30.0, "Music": 24.0}),
        ("2026-Q1", "2026-01-05/2026-01-06", {"Crime": 30.0, "Music": 24.0}),
    ],
)
def test_a_question_about_hours_is_asked_of_any_period(
    mart: marquee.Mart, period: str, shown: str, hours: dict[str, float]
) -> None:
    """A question about hours takes any period: a day, a span of days, or a quarter with two loaded days."""
    found = mart.ask("genre-hours", period=period, only={"country": "KR"})
    assert {row["genre"]: row["hours"] for row in found.to_pylist()} == hours
    assert set(found.column("period").to_pylist()) == {shown}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "bing"}, "Unknown question 'bing'. Did you mean binge?"),
        (
            {"name": "genre-hours", "only": {"contry": "KR"}},
            "genre-hours has no column 'contry'. Use one of: ",
        ),
        ({"name": "binge", "limit": 0}, "Invalid limit=0. Use a whole number of 1 or more"),
        ({"name": "binge", "period": "yesterday"}, "period='yesterday': "),
        (
            {"name": "binge", "period": "2026-02"},
            "no audience of '2026-02'. Use one of: 2026-01-05, 2026-01",
        ),
        (
            {"name": "binge", "period": "2026-01-05/2026-01-06"},
            "no audience of '2026-01-05/2026-01-06'. Use one of",
        ),
        (
            {"name": "genre-hours", "period": "2026-02"},
            "no viewership of '2026-02'. Use a period that overlaps 2026-01-05T00 to 2026-01-06T23",
        ),
        (
            {"name": "genre-hours", "period": "2026-01-05T22"},
            "period='2026-01-05T22': answers are of whole days. Use a day, ",
        ),
    ],
    ids=["question", "column", "limit", "period", "no such audience", "span", "no such hours", "within a day"],
)
def test_what_cannot_be_answered_says_what_can(mart: marquee.Mart, arguments: dict[str, Any], message: str) -> None:
    """The error names the closest question, the valid columns, or the periods that can be asked for."""
    with pytest.raises(ConfigError) as caught:
        mart.ask(**arguments)
    assert message in str(caught.value)


# SQL


def test_sql_answers_with_types(mart: marquee.Mart) -> None:
    """SQL answers have types: integers, sums, other numbers, days, timestamps and text."""
    found = mart.sql(
        "select show_id, (select sum(plays) from fact_viewership) as plays, 0.5 as half, ended, updated, label "
        "from dim_show where show_id = ?",
        [1],
    )
    kinds = [pa.int64(), pa.int64(), pa.float64(), pa.date32(), pa.timestamp("us"), pa.string()]
    assert found.schema.types == kinds
    # 24 hours with 60 + 30 plays, and 24 with 15 + 60
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        (1, 3960, 0.5, date(2026, 1, 5), datetime(2026, 1, 1), "Cases")  # noqa: DTZ001 - without a zone, as the mart
    ]


@pytest.mark.parametrize("sql", ["select label from dim_show where label like '100% %?' and show_id = ?"])
def test_a_mark_within_quotes_is_no_parameter(mart: marquee.Mart, sql: str) -> None:
    """A question mark or a percent sign within quotes is part of the text, not a parameter."""
    assert mart.sql(sql, [2]).to_pylist() == [{"label": "100% Söngs?"}]
    assert mart.sql("select label from dim_show where label like '100% %?'").num_rows == 1


@pytest.mark.parametrize("sql", ["selec 1", "select * from nothing_of_the_kind", "delete from dim_show"])
def test_a_query_that_the_database_refuses_is_bad_input(mart: marquee.Mart, sql: str) -> None:
    """Invalid SQL and statements that write are bad input, and the error includes the message of the database."""
    with pytest.raises(BadInputError, match=r"Use a query in .* SQL that only reads"):
        mart.sql(sql)
    assert mart.sql("select count(*) as shows from dim_show").to_pylist() == [
        {"shows": 4}
    ]  # two of them stand for others


def test_a_number_beyond_64_bits_is_exact(mart: marquee.Mart) -> None:
    """An integer beyond 64 bits is returned as a decimal, because a float would round it."""
    ((row,),) = (mart.sql("select 9223372036854775807 + 0 as most, 18446744073709551616 as beyond").to_pylist(),)
    assert (int(row["most"]), int(row["beyond"])) == (2**63 - 1, 2**64)


# Opening a mart


def test_an_open_mart_keeps_no_loader_out(file: Path) -> None:
    """An open mart blocks a loader only inside `with`, where all questions share one connection."""
    mart = marquee.open_mart(file)
    loader = [sys.executable, "-c", f"import duckdb; duckdb.connect({str(file)!r}).close()"]
    with mart as same:
        assert same is mart
        assert mart.ask("binge").num_rows == 1
        assert subprocess.run(loader, check=False, capture_output=True).returncode != 0
    assert subprocess.run(loader, check=False, capture_output=True).returncode == 0
    assert mart.ask("binge").num_rows == 1


def test_a_mart_that_is_being_loaded_is_to_be_tried_again(file: Path) -> None:
    """Opening a mart that is being loaded fails with "try again": DuckDB allows one writer or several readers."""
    mart = marquee.open_mart(file)
    loader = f"import duckdb; db = duckdb.connect({str(file)!r}); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", loader], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(TryAgainError, match="is open in another process"):
            mart.ask("binge")
        process.communicate(b"\n")
    assert mart.ask("binge").num_rows == 1


def test_a_mart_is_taken_from_the_settings(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mart can be opened from the settings alone, without a lake."""
    monkeypatch.setenv("MARQUEE_MART__URL", f"duckdb://{file}")
    mart = marquee.open_mart()
    assert (mart.url, repr(mart)) == (f"duckdb://{file}", f"<Mart duckdb://{file}>")
    assert mart.ask("binge").num_rows == 1


def test_a_mart_that_cannot_be_opened_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mart that cannot be opened fails when it is opened, not at the first question, and the error says why."""
    with pytest.raises(ConfigError, match="MARQUEE_MART__URL: is not set"):
        marquee.open_mart()
    with pytest.raises(ConfigError, match="Load one first"):
        marquee.open_mart(tmp_path / "none.duckdb")
    with pytest.raises(ConfigError, match=r"Use duckdb:///folder/kiosk\.duckdb or mysql://"):
        marquee.open_mart("kiosk.duckdb")
    monkeypatch.setenv("MARQUEE_MART__URI", "x")
    with pytest.raises(ConfigError, match="Did you mean MARQUEE_MART__URL"):
        marquee.open_mart(tmp_path / "none.duckdb")


# A lake


@pytest.fixture(scope="module")
def service() -> Iterator[ScheduleService]:
    """The schedule service."""
    with told_service() as running:
        yield running


@pytest.fixture(scope="module")
def done(service: ScheduleService, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """A lake after a full run over three hours in Korea, the second empty: 12 minutes of romance, 6 of crime."""
    return finished_world(tmp_path_factory.mktemp("done"), service)


@pytest.fixture
def world(done: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWorld:
    """A copy of the finished lake with its settings in force, in a notebook's folder that has a `jobs` of its own."""
    copy = done.copy(tmp_path / "world")
    monkeypatch.setenv("MARQUEE_CONFIG", str(copy.config))
    (tmp_path / "notebooks" / "jobs").mkdir(parents=True)
    (tmp_path / "notebooks" / "jobs" / "__init__.py").write_text("raise SystemExit('a foreign jobs')")
    monkeypatch.chdir(tmp_path / "notebooks")
    return copy


def states_of(listed: list[marquee.PeriodStatus], stage: str) -> dict[str, str]:
    """Return the states of a stage's periods."""
    return {str(one.period): str(one.state) for one in listed if one.stage == stage}


@pytest.mark.usefixtures("world")
def test_the_examples_of_the_docstrings_hold() -> None:
    """Every public name has an example in its docstring, and each example runs with the settings of a small world."""
    found = [one for one in doctest.DocTestFinder(recurse=True).find(marquee.api, globs={}) if one.examples]
    names = {one.name.removeprefix("marquee.api.") for one in found}
    assert names == {
        "Lake.run",
        "Lake.status",
        "Lake.what_if",
        "Mart.ask",
        "Mart.periods",
        "Mart.sql",
        "open_lake",
        "open_mart",
        "questions",
    }
    report = io.StringIO()
    with contextlib.redirect_stderr(io.StringIO()):  # the log of the run
        runner = doctest.DocTestRunner(verbose=False)
        for one in found:
            runner.run(one, out=report.write)
    assert report.getvalue() == ""


def test_status_lists_every_period(world: SmallWorld) -> None:
    """Status lists every period as typed rows, and an argument narrows the list to one period."""
    listed = marquee.open_lake(world.folder / "lake").status()
    (winter,) = [one for one in listed if (one.stage, str(one.period)) == ("rollup", f"{DAY}T10")]
    assert (winter.state, winter.rows, winter.rejects, winter.generation, winter.reason) == ("done", 1, 0, 1, "")
    assert winter.made_at is not None
    assert winter.made_at.utcoffset() == UTC.utcoffset(None)
    narrowed = marquee.open_lake().status(f"{DAY}T11/{DAY}T12")
    assert states_of(narrowed, "rollup") == {f"{DAY}T11": "done", f"{DAY}T12": "done"}


def test_run_makes_what_is_pending(world: SmallWorld, capfd: pytest.CaptureFixture[str]) -> None:
    """A run makes the hour of a late file and its downstream periods again, and logs text to standard error."""
    world.events(f"{DAY}T12", [("bob", 30, CASE)], file=1)
    lake = marquee.open_lake()
    assert states_of(lake.status(), "rollup")[f"{DAY}T12"] == "stale"
    # The profile of the day, and the audiences of day, week, month and quarter; in the mart, the hour and these four
    made = lake.run()
    assert (made["schedule-fetch"], made["rollup"], made["profile"]) == (0, 1, 5)
    assert made["mart-load"] > 0
    assert {str(one.state) for one in lake.status()} == {"done"}
    printed = capfd.readouterr()
    assert f"rollup {DAY}T12 published\n" in printed.err
    assert printed.out == ""


def test_a_run_of_a_period_makes_nothing_else(world: SmallWorld) -> None:
    """A run of one period makes nothing else, even when another hour has a late file."""
    for hour in (f"{DAY}T10", f"{DAY}T12"):
        world.events(hour, [("bob", 30, CASE)], file=1)
    lake = marquee.open_lake()
    assert lake.run(f"{DAY}T10")["rollup"] == 1
    assert states_of(lake.status(), "rollup")[f"{DAY}T12"] == "stale"


def test_a_failed_run_is_the_error_of_its_exit_code(world: SmallWorld) -> None:
    """A run that fails raises the error of its exit code: here three bad lines, two too many."""
    world.events(f"{DAY}T12", [("bob", 30, CASE)], file=1, bad_lines=20)
    with pytest.raises(BadInputError, match=f"rollup {DAY}T12 failed: "):
        marquee.open_lake().run()


@pytest.mark.usefixtures("world")
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of settings names the setting, whether the lake's check or a stage's process finds it."""
    lake = marquee.open_lake()
    monkeypatch.setenv("MARQUEE_ROLLUP__BUCKETS", "many")
    with pytest.raises(ConfigError, match="MARQUEE_ROLLUP__BUCKETS='many'"):
        lake.run()
    monkeypatch.setenv("MARQUEE_LAKE", "nowhere")
    with pytest.raises(ConfigError, match="MARQUEE_LAKE='nowhere'"):
        marquee.open_lake()
    with pytest.raises(ConfigError, match="period='2026-1': "):
        lake.status("2026-1")


@pytest.mark.usefixtures("world")
def test_a_command_that_does_not_start_shows_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a command does not start, its output is passed on and included in the error."""
    monkeypatch.setattr(marquee.api, "COMMAND", (sys.executable, "-c", "raise SystemExit('no such command')"))
    with pytest.raises(MarqueeError, match="no such command"):
        marquee.open_lake().status()

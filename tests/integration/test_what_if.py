"""`marquee what-if` over a small lake: sets of shows, orders, names of shows, and what is not there.

Three viewers in Korea: ann watches 12 minutes of =Winter and 6 of Case, bob 5 of =Winter, cleo 4 of Case.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import marquee
from jobs.cli.shows_named import find_shows
from marquee.calendar import Period
from marquee.errors import ConfigError
from marquee.lake import keys
from marquee.lake.ended import update_ended
from marquee.lake.layers import VIEWER_DAYS
from tests.helpers_cli import error_of, out_of, usage_error
from tests.schedule_service import ScheduleService
from tests.small_world import CASE, DAY, WINTER, SmallWorld, told_service


@pytest.fixture(scope="module")
def service() -> Iterator[ScheduleService]:
    """The schedule service."""
    with told_service() as running:
        yield running


def make_world(folder: Path, service: ScheduleService, min_cell: int = 1) -> SmallWorld:
    """Return a world after a full run over the three viewers' plays, whose orders have all shows."""
    world = SmallWorld(folder)
    world.configure(service.url)
    world.events(f"{DAY}T10", [("ann", minute, WINTER) for minute in range(12)])
    world.events(f"{DAY}T11", [("bob", minute, WINTER) for minute in range(5)])
    world.events(
        f"{DAY}T12", [("ann", minute, CASE) for minute in range(6)] + [("cleo", minute, CASE) for minute in range(4)]
    )
    text = world.config.read_text().replace("min_cell = 1 ", f"min_cell = {min_cell} ")
    world.config.write_text(f"{text}[profile]\norder_reach = 1\n")
    assert world.run() == 0
    return world


@pytest.fixture(scope="module")
def done(service: ScheduleService, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """A lake and a mart whose figures are published as they are."""
    return make_world(tmp_path_factory.mktemp("done"), service)


@pytest.fixture
def world(done: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> SmallWorld:
    """The lake with its settings in force; the tests only read it."""
    monkeypatch.setenv("MARQUEE_CONFIG", str(done.config))
    monkeypatch.setenv("COLUMNS", "160")
    return done


@pytest.mark.usefixtures("world")
def test_set_loses_whom_no_single_show_loses(capsys: pytest.CaptureFixture[str]) -> None:
    """Both shows lose bob, cleo and ann; one by one they lose bob and cleo."""
    rows = json.loads(out_of(capsys, "what-if", "--remove", "=Winter", "case", "--format", "json"))
    assert [row["country"] for row in rows] == ["**", "KR"]
    assert rows[0] == {
        "period": "2026-W02",
        "country": "**",
        "left_with_nothing": 3,
        "left_percent": 100.0,
        "one_by_one": 2,
        "set_effect": 1,
        "lose_nearly_all": 3,
        "hours_at_risk": 0.5,  # 27 minutes
        "reach": 3,
        "hours": 0.5,
        "hours_percent": 100.0,
        "nearly_one_by_one": 2,
        "nearly_set_effect": 1,
    }
    assert rows[1] == rows[0] | {"country": "KR"}


@pytest.mark.usefixtures("world")
def test_answer_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    """The table has the shows, the period, a sentence, the hours counted and the definitions."""
    out = out_of(capsys, "what-if", "--remove", "#1", "--period", "2026-01")
    assert out.startswith("What if =Winter goes?  2026-01\n")
    assert (
        "Worldwide, the set leaves 1 viewer (33.3 % of all) with nothing; one by one, its shows lose 1. Nearly all is "
        "lost to 1." in out
    )
    assert "3 of 744 hours of 2026-01 are counted" in out
    assert "at least 120 seconds of the set" in out
    assert "at least 90 % of their time" in out
    assert "TVmaze" in out


@pytest.mark.usefixtures("world")
def test_country(capsys: pytest.CaptureFixture[str]) -> None:
    """A country, in any case, is the only row; for one without viewers, the error names those with some."""
    (row,) = json.loads(out_of(capsys, "what-if", "--remove", "Case", "--country", "kr", "--format", "json"))
    assert (row["country"], row["left_with_nothing"], row["reach"]) == ("KR", 1, 2)
    assert "Nobody in 'JP' watched any of these shows in 2026-W02. Use one of: **, KR" in error_of(
        capsys, "what-if", "--remove", "Case", "--country", "JP", code=78
    )


@pytest.mark.usefixtures("world")
def test_orders(capsys: pytest.CaptureFixture[str]) -> None:
    """Case goes first: it loses one viewer as =Winter does, and has fewer hours. =Winter and Case reach two each."""
    remove = json.loads(out_of(capsys, "what-if", "--order", "--format", "json"))
    assert [(row["step"], row["title"], row["left_with_nothing"], row["by_sole"]) for row in remove] == [
        (1, "Case", 1, 1),
        (2, "=Winter", 3, 3),
    ]
    keep = json.loads(out_of(capsys, "what-if", "--order", "keep", "--limit", "1", "--format", "json"))
    assert [(row["title"], row["reached"], row["reached_percent"], row["hours_percent"]) for row in keep] == [
        ("=Winter", 2, 66.7, 63.0)  # 17 of 27 minutes
    ]
    assert "1 of 2 steps (--limit 0 shows all)" in out_of(capsys, "what-if", "--order", "--limit", "1")


@pytest.mark.usefixtures("world")
def test_answers_of_the_mart_are_those_of_the_lake(capsys: pytest.CaptureFixture[str]) -> None:
    """The views of orders and overlaps answer as the lake does."""
    removed = json.loads(out_of(capsys, "ask", "removal-order", "--format", "json"))
    assert [(row["title"], row["left_with_nothing"], row["left_by_sole"]) for row in removed] == [
        ("Case", 1, 1),
        ("=Winter", 3, 3),
    ]
    kept = json.loads(out_of(capsys, "ask", "keep-order", "--format", "json"))
    assert [(row["title"], row["reached"]) for row in kept] == [("=Winter", 2), ("Case", 3)]
    overlaps = json.loads(out_of(capsys, "ask", "overlap", "--format", "json"))
    # ann is one of two viewers of each; each show reached two of three viewers, so 50 % is 75 % of the usual.
    assert [
        (row["title"], row["other_title"], row["share_percent"], row["affinity_index"], row["only_of_genre_percent"])
        for row in overlaps
    ] == [("=Winter", "Case", 50.0, 75, 100.0), ("Case", "=Winter", 50.0, 75, 100.0)]


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--remove", "Winter"], "No captured schedule has a show 'Winter'. Did you mean '=Winter'?"),
        (["--remove", "#99"], "No captured schedule has a show '#99'. Use its name"),
        (
            ["--remove", "Case", "--period", DAY],
            f"The lake has no sets of shows of {DAY!r}. Use one of: 2026-W02, 2026-01",
        ),
        (["--order", "--period", "soon"], "The lake has no sets of shows of 'soon'. Use one of:"),
    ],
)
def test_what_is_not_there(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """An unknown show or period is an error that names what there is."""
    assert message in error_of(capsys, "what-if", *arguments, code=78)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--order", "--country", "KR"], "--country goes with --remove: an order is worldwide"),
        (["--remove", "Case", "--limit", "1"], "--limit goes with --order"),
    ],
)
def test_option_of_the_other_answer(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """A country of an order, or a limit of a set, is a usage error: the answer would not follow it."""
    assert message in usage_error(capsys, "what-if", *arguments)


def test_neither_a_set_nor_an_order(capsys: pytest.CaptureFixture[str]) -> None:
    """Without shows or an order, the usage error names both options."""
    assert "one of the arguments --remove --order is required" in usage_error(capsys, "what-if")


def test_few_viewers_are_told_as_none(
    service: ScheduleService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A set of three viewers reaches 0 and has no hours, where the least number is 10; no order has its shows.

    A show is rounded to the nearest 10 viewers, two shows to the nearest 30.
    """
    world = make_world(tmp_path / "world", service, min_cell=10)
    monkeypatch.setenv("MARQUEE_CONFIG", str(world.config))
    row, _ = json.loads(out_of(capsys, "what-if", "--remove", "Case", "=Winter", "--format", "json"))
    counts = [row[name] for name in ("reach", "left_with_nothing", "one_by_one", "set_effect", "lose_nearly_all")]
    assert (counts, row["hours"], row["hours_at_risk"], row["left_percent"]) == ([0] * 5, None, None, None)
    out = " ".join(out_of(capsys, "what-if", "--remove", "Case").split())
    assert "too few viewers watched them to tell how many, or nobody did, in 2026-W02" in out
    assert "Viewers and hours are rounded to the nearest 10; hours of fewer than 20 viewers are not shown." in out
    out = " ".join(out_of(capsys, "what-if", "--remove", "Case", "=Winter").split())
    assert "Viewers and hours are rounded to the nearest 30; hours of fewer than 60 viewers are not shown." in out
    assert json.loads(out_of(capsys, "what-if", "--order", "--format", "json")) == []
    assert json.loads(out_of(capsys, "ask", "overlap", "--format", "json")) == []


@pytest.mark.usefixtures("world")
def test_api() -> None:
    """The API returns the command's rows as a table, with types also for columns of nulls."""
    lost = marquee.open_lake().what_if(["=Winter", 2], country="KR", period="2026-Q1")
    assert lost.select(["period", "country", "left_with_nothing", "set_effect"]).to_pylist() == [
        {"period": "2026-Q1", "country": "KR", "left_with_nothing": 3, "set_effect": 1}
    ]
    assert str(lost.schema.field("hours_at_risk").type) == "double"
    with pytest.raises(ConfigError, match="No captured schedule has a show 'Vinter'"):
        marquee.open_lake().what_if(["Vinter"])


LABELS = {1: "Lost", 24: "One (#24)", 25: "One (#25)", 3: "24", 4: "#4", 5: "Am\N{LATIN SMALL LETTER E WITH ACUTE}lie"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *[("lost", 1), (" Lost ", 1), ("1", 1), ("#1", 1), ("24", 3), ("#24", 24), ("One (#25)", 25), ("#4", 4)],
        *[("one (#25)", 25), ("AME\N{COMBINING ACUTE ACCENT}LIE", 5)],
    ],
)
def test_shows_by_name_or_id(text: str, found: int) -> None:
    """A show is found by its name in any case, by its label, or by its id; a name comes before an id."""
    assert find_shows([text], LABELS) == {found: LABELS[found]}


def test_an_id_after_another_name_is_no_show() -> None:
    """A text that only ends in an id is not that show: the name before it could be another's."""
    for text in ("Two #1", "Lost (#25)", "One (#1)", "##1", "#1)"):
        with pytest.raises(ConfigError, match="No captured schedule has a show"):
            find_shows([text], LABELS)


def test_name_of_several_shows() -> None:
    """A name of several shows is an error that names their ids."""
    with pytest.raises(ConfigError, match=r"2 shows have the name 'one'\. Use one of the ids '#24', '#25'"):
        find_shows(["one"], LABELS)


def test_period_whose_viewers_have_ended(
    capsys: pytest.CaptureFixture[str], done: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After retention has ended the viewers of a period, only its order is answered; the message says so."""
    world = done.copy(tmp_path / "ended")
    monkeypatch.setenv("MARQUEE_CONFIG", str(world.config))
    week, now = Period.parse("2026-W02"), datetime.now(UTC)
    update_ended(world.lake, keys.AUDIENCE, lambda one: one.with_periods(VIEWER_DAYS.name, [week], now, done=True))
    said = error_of(capsys, "what-if", "--remove", "#1", "--period", "2026-W02", code=78)
    assert said == (
        f"Retention ended show_viewer of 2026-W02 on {now:%Y-%m-%d}, which --remove reads. Use a later period; --order "
        "still answers for this one"
    )
    assert "remove" in out_of(capsys, "what-if", "--order", "--period", "2026-W02")

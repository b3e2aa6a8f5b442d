"""The state of every period is the same in terminal, JSON, page, exporter and alerts, on one lake.

The lake has all five states. Of 5 January two hours were made, one has new events and one was made again with too many
rejects; events of the next day begin before the hours between them are made, so its profiles wait.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from jobs.cli.__main__ import main
from jobs.exporter.collectors import make_collectors
from jobs.exporter.exporter import Exporter
from jobs.exporter.settings import ExporterSettings
from marquee.calendar import Period
from marquee.lake.markers import Markers
from marquee.runs.stage import State
from marquee.settings.loading import load_settings
from tests.helpers_cli import out_of
from tests.schedule_service import raw, schedule_service
from tests.small_world import CASE, DAY, WINTER, SmallWorld, tell_schedule

NEXT_DAY = "2026-01-06"
RULES = Path(__file__).parents[2] / "charts" / "marquee" / "rules"

Totals = Counter[tuple[str, str]]
"""Numbers of periods by stage (for the mart, with the loaded stage) and state."""


@dataclass(frozen=True)
class Listed:
    """A period in the output of ``marquee status --format json``."""

    stage: str
    source: str
    period: str
    state: str

    @property
    def label(self) -> str:
        """The stage; for the mart, also the stage whose rows are loaded."""
        return f"{self.stage} {self.source}".rstrip()

    @property
    def grain(self) -> str:
        """The grain of the period."""
        return Period.parse(self.period).grain.value


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """The lake of this file, and the mart that was loaded from it."""
    world = SmallWorld(tmp_path_factory.mktemp("states"))
    with schedule_service() as service, pytest.MonkeyPatch.context() as patch:
        tell_schedule(service)
        service.tell(f"/schedule?country=KR&date={NEXT_DAY}", raw(b"", 503))
        world.configure(service.url, (DAY, NEXT_DAY))
        patch.setenv("MARQUEE_CONFIG", str(world.config))
        world.events(f"{DAY}T10", [("ann", minute, WINTER) for minute in range(12)])
        world.events(f"{DAY}T12", [("ann", minute, CASE) for minute in range(6)], bad_lines=1)
        assert main(["run"]) == 75  # the schedule of the next day failed
        world.events(f"{DAY}T12", [], file=1, bad_lines=2)
        assert main(["rollup"]) == 65  # too many rejects
        world.events(f"{DAY}T10", [("bob", 30, CASE)], file=1)
        world.events(f"{NEXT_DAY}T01", [("bob", 30, CASE)])
        assert main(["rollup", f"{NEXT_DAY}T01"]) == 0
    return world


@pytest.fixture
def listed(lake: SmallWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[Listed]:
    """Every period of the JSON output."""
    monkeypatch.setenv("MARQUEE_CONFIG", str(lake.config))
    rows = json.loads(out_of(capsys, "status", "--format", "json"))
    return [Listed(row["stage"], row["source"], row["period"], row["state"]) for row in rows]


def totals_of(listed: Iterable[Listed]) -> Totals:
    """Count the periods by stage and state."""
    return Counter((one.label, one.state) for one in listed)


def test_lake_has_every_state(listed: list[Listed]) -> None:
    """The lake has every state, with numbers counted by hand."""
    assert totals_of(listed) == {
        ("schedule_fetch", "done"): 1,
        ("schedule_fetch", "failed"): 1,
        ("rollup", "done"): 2,  # 11 and the next day's 01
        ("rollup", "stale"): 1,  # 10
        ("rollup", "failed"): 1,  # 12
        ("rollup", "pending"): 12,  # 13 to the next day's 00
        ("profile", "waiting"): 2,
        ("audience", "done"): 4,
        ("mart_load schedule_fetch", "done"): 1,
        ("mart_load rollup", "done"): 3,
        ("mart_load rollup", "pending"): 1,
        ("mart_load audience", "done"): 4,
    }
    assert {one.state for one in listed} == {state.value for state in State}


def numbers(cells: Mapping[str, str]) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield the nonzero numbers of periods in a line of the table of stages."""
    for state in State:
        if count := int(cells.get(state.value, "0")):
            yield (cells["stage"], state.value), count


def test_terminal_agrees(
    listed: list[Listed], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The terminal agrees, in its table of stages and in its list of open periods."""
    monkeypatch.setenv("COLUMNS", "200")  # so that no cell wraps
    shown = out_of(capsys, "status").splitlines()
    heads = next(line.split() for line in shown if line.startswith("stage "))
    states = heads[1 : heads.index("newest")]
    counted = re.compile(r"([a-z_]+(?: [a-z_]+)?)" + r" +(\d+)" * len(states) + " ")
    found: Totals = Counter()
    for line in shown[: shown.index("")]:
        if cells := counted.match(line):
            stage, *counts = cells.groups()
            found.update(dict(numbers({"stage": stage} | dict(zip(states, counts, strict=True)))))
    assert found == totals_of(listed)
    left: Totals = Counter()
    for line in shown[shown.index("") :]:
        if said := re.match(r"(\w+): ([a-z_]+(?: [a-z_]+)?) \d\S+(?: to \S+ \((\d+)\))?$", line):
            left[said[2], said[1]] += int(said[3] or 1)
    assert left == totals_of(one for one in listed if one.state != "done")


class Page(HTMLParser):
    """The cells of the page: table cells by row, and the titles of the heat map's cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.titles: list[str] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Start a row or a cell."""
        if tag == "tr":
            self.rows.append([])
        self._in_cell = tag in {"td", "th"}
        if self._in_cell:
            self.rows[-1].append("")
            self.titles += [value or "" for name, value in attrs if name == "title"]

    def handle_endtag(self, tag: str) -> None:
        """End a cell."""
        if tag in {"td", "th"}:
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        """Collect the text of a cell."""
        if self._in_cell:
            self.rows[-1][-1] += data


def test_page_agrees(listed: list[Listed], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The page agrees, in its headline, its table of stages and the cells of its heat map."""
    file = tmp_path / "status.html"
    out_of(capsys, "status", "--html", str(file))
    text = file.read_text(encoding="utf-8")
    by_state = Counter(one.state for one in listed)
    headline = ", ".join(f"{by_state[state]} {state}" for state in State)
    assert f"<h1>Periods: {headline}</h1>" in text
    page = Page(text)
    heads = next(row for row in page.rows if row[:2] == ["stage", "done"])
    stages = {one.label for one in listed}
    found = (numbers(dict(zip(heads, row, strict=True))) for row in page.rows if row[0] in stages and len(row) > 4)
    assert Counter(dict(pair for row in found for pair in row)) == totals_of(listed)
    states = "|".join(State)
    cells = Counter(said[0] for title in page.titles if (said := re.search(rf"(?<=: )({states})\b", title)))
    daily = {"schedule_fetch", "profile", "audience"}
    shown = [one for one in listed if one.label == "rollup" or (one.label in daily and one.grain == "day")]
    assert cells == Counter(one.state for one in shown)


@pytest.fixture
def metrics(listed: list[Listed], lake: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    """The exporter's metrics for all these days."""
    del listed  # puts the settings in force
    monkeypatch.setenv("MARQUEE_EXPORTER__WINDOW_DAYS", "36500")
    settings = load_settings(ExporterSettings)
    markers = Markers(lake.lake)
    exporter = Exporter(make_collectors(settings, markers), markers, 600.0)
    exporter.refresh()
    registry = CollectorRegistry()
    registry.register(exporter)
    return registry


def samples_of(metrics: CollectorRegistry, name: str) -> Iterator[tuple[dict[str, str], float]]:
    """Yield labels and value of each series of a metric."""
    for family in metrics.collect():
        yield from ((one.labels, one.value) for one in family.samples if one.name == name)


def test_exporter_agrees(listed: list[Listed], metrics: CollectorRegistry) -> None:
    """The exporter agrees by stage and grain; for the mart it counts facts, because dimensions load as a whole."""
    found = {
        (labels["stage"], labels["grain"], labels["state"]): int(value)
        for labels, value in samples_of(metrics, "marquee_periods")
        if value
    }
    facts = (one for one in listed if one.label != "mart_load schedule_fetch")
    assert found == Counter((one.stage, one.grain, one.state) for one in facts)


def test_alerts_agree(listed: list[Listed], metrics: CollectorRegistry) -> None:
    """The alert MarqueeStageFailing refers to an existing state and finds the stages with failed periods."""
    asked = {
        file.stem: set(re.findall(r'marquee_periods\{.*?state="(\w+)"', file.read_text(encoding="utf-8")))
        for file in RULES.iterdir()
    }
    assert {name: states for name, states in asked.items() if states} == {"MarqueeStageFailing": {State.FAILED.value}}
    failing = {
        (labels["stage"], labels["grain"])
        for labels, value in samples_of(metrics, "marquee_periods")
        if labels["state"] in asked["MarqueeStageFailing"] and value
    }
    assert failing == {(one.stage, one.grain) for one in listed if one.state == "failed"}
    behind = {labels["stage"]: value for labels, value in samples_of(metrics, "marquee_mart_generations_behind")}
    left = Counter(one.source for one in listed if one.stage == "mart_load" and one.state != "done")
    assert behind == {stage: left[stage] for stage in behind}
    assert sum(behind.values()) == left.total() == 1

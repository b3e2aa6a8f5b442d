"""Looks at old days of raw events: what a run lists, and when it finds a late file."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from jobs.rollup import looks, stage
from jobs.rollup.settings import RollupOptions, RollupSettings
from jobs.rollup.stage import RollupStage
from marquee.calendar import DAY, EVER, Period, Span, day, hour
from marquee.engine.base import NO_ENGINE
from marquee.lake.keys import looks_key
from marquee.lake.manifest import Failure, Marker, digest_inputs, now_text
from marquee.lake.markers import Markers, publish
from marquee.runs.stage import plan_stage
from marquee.storage.base import ObjectInfo
from marquee.storage.local import LocalStore

DAYS = [day(f"2026-01-{number:02}") for number in range(1, 21)]
"""The days with an object in each hour. The last hour is 2026-01-20T23, so days up to 2026-01-13 are old."""
OLD = DAYS[:12]
NOW = datetime(2026, 1, 21, 1, tzinfo=UTC)


@dataclass
class World:
    """Raw events and a lake that has all of their hours; ``listed`` are the prefixes that were listed."""

    raw: LocalStore
    lake: LocalStore
    listed: list[str]

    def stage(self, now: datetime = NOW, markers: Markers | None = None, **options: object) -> RollupStage:
        """Return the stage in a new process at some time."""
        given = RollupOptions(viewer_key=SecretStr("a key that only tests have"), **options)
        settings = RollupSettings(lake=self.lake.url, raw=self.raw.url, rollup=given)
        return RollupStage(settings, markers or Markers(self.lake), NO_ENGINE, lambda: now)

    def run(self, now: datetime = NOW, span: Span = EVER, **options: object) -> list[str]:
        """Plan a run at some time, as far as it announces what is pending; return the hours that are due."""
        self.listed.clear()
        markers = Markers(self.lake)
        planned = self.stage(now, markers, **options)
        due = plan_stage(planned, markers, span)
        planned.announce(ended=False)
        return [str(one) for one in due]

    @property
    def days(self) -> set[str]:
        """The days of which something was listed; all for a listing of the whole store."""
        numbers = [prefix.partition("day=")[2][:2] for prefix in self.listed]
        return {number for number in numbers if number} if all(numbers) else {"all"}

    def add(self, at: str, name: str = "late.json") -> None:
        """Add an object in the folder of an hour, or of a day."""
        folder = f"{datetime.fromisoformat(at):year=%Y/month=%m/day=%d/}" + (f"hour={at[11:]}/" if "T" in at else "")
        self.raw.put(f"topics/plays/{folder}{name}", b"x")


@pytest.fixture
def world(lake: LocalStore, monkeypatch: pytest.MonkeyPatch) -> World:
    """Twenty days with an object in each hour, which are all made; more than 100 objects are many."""
    for module in (looks, stage):
        monkeypatch.setattr(module, "FEW", 100)
    world = World(LocalStore(lake.root.parent / "raw", durable=False), LocalStore(lake.root, durable=False), [])
    for one in DAYS:
        for number in range(24):
            world.add(f"{one}T{number:02}", "plays.json")
    made = world.stage()
    for one in made.periods(EVER):
        target = made.target(one)
        assert target is not None
        publish(world.lake, marker_of(made, one), None)
    real = LocalStore.list_all

    def list_all(self: LocalStore, prefix: str = "") -> Iterator[ObjectInfo]:
        world.listed.append(prefix)
        return real(self, prefix)

    monkeypatch.setattr(LocalStore, "list_all", list_all)
    return world


def marker_of(made: RollupStage, one: Period, generation: int = 1) -> Marker:
    """Return the marker of an hour made of its objects."""
    target = made.target(one)
    assert target is not None
    return Marker(
        stage="rollup",
        period=str(one),
        generation=generation,
        run_id=f"r{generation}",
        code_version="0",
        definition_version=made.definition_version,
        parameters=made.parameters,
        inputs=target.inputs,
        inputs_digest=digest_inputs(target.inputs, made.parameters, made.definition_version),
        outputs=(),
        counts={"objects": {"read": len(target.inputs)}},
        started_at=now_text(NOW),
        finished_at=now_text(NOW),
    )


RECENT = {f"{number:02}" for number in range(13, 21)}
"""The days from a week before the last hour on: 2026-01-13T23 is in the first of them."""


def test_run_lists_recent_days(world: World) -> None:
    """The first run lists everything. The next one lists the days since a week before the last hour."""
    assert (world.run(), world.days) == ([], {"all"})
    assert (world.run(), world.days) == ([], RECENT)


def test_run_after_a_backlog_lists_recent_days(world: World) -> None:
    """A run that made twenty days has looked at all of them: the next one lists what it would list after a run."""
    for info in list(world.lake.list("markers/")):
        world.lake.delete(info.key)
    markers = Markers(world.lake)
    made = world.stage(markers=markers)
    hours = made.periods(EVER)
    made.announce(ended=False)
    for one in hours:
        markers.note(publish(world.lake, marker_of(made, one), None))
    made.announce(ended=True)
    assert (world.run(), world.days) == ([], RECENT)


def test_late_file_is_found_within_a_day(world: World) -> None:
    """A late file in an old hour makes it stale within a day; a run that names its day finds it at once."""
    world.run()
    world.add("2026-01-05T10")
    assert world.run() == []
    assert world.run(span=Span.of(day("2026-01-05"), day("2026-01-05"))) == ["2026-01-05T10"]
    assert world.run(NOW + DAY) == ["2026-01-05T10"]


def test_day_with_a_late_file_is_listed_until_it_is_done(world: World) -> None:
    """Once a late file is found, every run lists its day, until the hour is made again."""
    world.run()
    world.add("2026-01-05T10")
    later = NOW + DAY
    world.run(later)
    assert (world.run(later), world.days) == (["2026-01-05T10"], {"05"} | RECENT)
    late = hour("2026-01-05T10")
    again = world.stage(later)
    again.periods(Span.of(late, late))
    publish(world.lake, marker_of(again, late, 2), Markers(world.lake).of("rollup")[late])
    world.run(later)
    assert (world.run(later), world.days) == ([], RECENT)


def test_quiet_days_take_turns(world: World) -> None:
    """Runs every hour list a twenty-fourth of the twelve old days each, so that each is listed once in a day."""
    world.run()
    turns = []
    for hours in range(1, 25):
        world.run(NOW + timedelta(hours=hours))
        turns.append(world.days - RECENT)
    assert max(map(len, turns)) == 1
    assert set.union(*turns) == {f"{one.start:%d}" for one in OLD}


def test_older_days_are_listed_after_a_thirtieth_of_their_age(world: World) -> None:
    """Two months later, days that are some 57 days old are listed again after about 46 hours."""
    then = datetime(2026, 3, 1, tzinfo=UTC)
    world.run(then)
    world.run(then + timedelta(hours=30))
    assert 0 < len(world.days - RECENT) < len(OLD)
    world.run(then + timedelta(hours=80))
    assert world.days == {"all"}


def test_new_day_before_the_lake_is_found_at_once(world: World) -> None:
    """A run asks for the names of all days, so it sees a day before the first of the lake, and what is in no day."""
    world.run()
    world.add("2025-12-30T10")
    world.raw.put("topics/plays/README.md", b"x")
    due = world.run()
    assert (due[0], world.days) == ("2025-12-30T10", {"all"})
    assert sorted(world.listed) == [
        "topics/plays/README.md",
        *(f"topics/plays/{one.start:year=%Y/month=%m/day=%d}/" for one in [day("2025-12-30"), *DAYS[12:]]),
    ]


@pytest.mark.parametrize("what", ["failed", "damaged", "deleted"])
def test_day_with_an_hour_that_is_not_done_is_listed(world: World, what: str) -> None:
    """A day is not quiet any more when an hour of it has failed, or its marker is damaged or gone."""
    world.run()
    key = "markers/rollup/2026-01-05T10/_SUCCESS"
    if what == "failed":
        failure = Failure("rollup", "2026-01-05T10", "r2", 2, "bad input", 65, "why", now_text(NOW))
        world.lake.put("markers/rollup/2026-01-05T10/_FAILED", failure.to_json())
    elif what == "damaged":
        world.lake.put(key, b"?")
    else:
        world.lake.delete(key)
    world.run()
    assert world.days == {"05"} | RECENT


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"of": 1}', b'{"days": {}}', None])
def test_lost_or_damaged_looks_make_a_run_list_everything(world: World, value: bytes | None) -> None:
    """Without the list of looks, or with one that is no such list, a run lists everything, and writes it again."""
    world.run()
    before = world.lake.get(looks_key())
    if value is None:
        world.lake.delete(looks_key())
    else:
        world.lake.put(looks_key(), value)
    world.run()
    assert (world.days, world.lake.get(looks_key())) == ({"all"}, before)


@pytest.mark.parametrize(
    "days", [{"x": []}, {"2026-01-05": 1}, {"2026-01-05": ["x", {}]}, {"2026-01-05": ["2026-01-21", 1]}]
)
def test_looks_of_another_form_make_a_run_list_everything(world: World, days: object) -> None:
    """A list of looks whose days or times have another form is not believed."""
    world.run()
    known = json.loads(world.lake.get(looks_key()))
    world.lake.put(looks_key(), json.dumps(known | {"days": known["days"] | days}).encode())
    world.run()
    assert world.days == {"all"}


def test_other_settings_make_a_run_list_everything(world: World) -> None:
    """Looks hold for the settings with which the objects were classified and the hours made."""
    world.run()
    world.run(ignore=("*/README",))
    assert world.days == {"all"}


def test_stray_object_in_a_day_is_warned_of_in_each_run(world: World) -> None:
    """A day with an object in no hour's folder is not quiet: each run lists it, and warns of the object."""
    world.add("2026-01-05", "README.md")
    world.run()
    planned = world.stage()
    planned.periods(EVER)
    assert "README.md" in planned.remark()
    assert world.run() == []
    assert world.days == {"05"} | RECENT


def test_small_store_is_listed_as_a_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store with few objects is listed as a whole by each run, and the lake has no list of looks."""
    for module in (looks, stage):
        monkeypatch.setattr(module, "FEW", 480)
    world.run()
    assert (world.run(), world.days, world.lake.head(looks_key())) == ([], {"all"}, None)


def test_objects_of_days_that_are_not_listed_are_counted(world: World) -> None:
    """The number of objects includes those of days that a run did not list, and each hour has its own."""
    world.run()
    planned = world.stage()
    planned.periods(EVER)
    assert planned.totals()["read"] == 480  # type: ignore[index]
    assert planned.objects(hour("2026-01-05T10")) == {"read": 1}


def test_expired_events_are_neither_listed_nor_read_from_markers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """If all raw events of old days are deleted, their hours stay done, and no run asks for them or their inputs."""
    Markers(world.lake, writes_index=True).of("rollup")
    for one in OLD:
        for number in range(24):
            world.raw.delete(f"topics/plays/{one.start:year=%Y/month=%m/day=%d}/hour={number:02}/plays.json")
    monkeypatch.setattr("marquee.lake.marker_index.STEP_NS", -(10**15))
    reads = []
    real = LocalStore.get_version

    def get_version(self: LocalStore, key: str) -> tuple[bytes, str]:
        reads.append(key)
        return real(self, key)

    monkeypatch.setattr(LocalStore, "get_version", get_version)
    assert (world.run(), [key for key in reads if key.endswith("_SUCCESS")]) == ([], [])

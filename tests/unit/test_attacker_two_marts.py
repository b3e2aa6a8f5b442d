"""Who kept the mart of the day before learns neither seconds of few viewers, nor how many were seen again."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction

import pyarrow as pa
import pytest

from marquee.lake.datasets import DEPARTURE as DEPARTURE_DATASET
from marquee.mart.protect import protect
from tests.attacker.attack import Attack, attack
from tests.attacker.counts import AUDIENCE, BASE, DEPARTURE, GENRE
from tests.attacker.exact import publish
from tests.attacker.model import Cell
from tests.attacker.naive import seconds_withheld, withheld
from tests.attacker.published import Knowledge, Method, Published
from tests.attacker.seconds import Seconds, faults, recovered
from tests.attacker.truth import Truth
from tests.attacker.worlds import World, everybody
from tests.oracle.departures import Watched, find_departures

MIN_CELL, QUARTER = 10, "2026-Q1"


def of_quarter(mart: Published) -> Published:
    """Return what a mart has of the quarter to date alone, with the ledger of its hours."""
    ledger = [row for row in mart.of("load_ledger") if row["period"] == QUARTER or row["dataset"] == "viewership"]
    figures = {name: [row for row in mart.of(name) if row["period"] == QUARTER] for name in (AUDIENCE, BASE, GENRE)}
    return Published({**mart.tables, **figures, "load_ledger": ledger})


def known(marts: Sequence[Published], worlds: Sequence[World], method: Method) -> set[Cell]:
    """Return the seconds of few viewers that today's mart tells, beside that of the day before if it is there."""
    today, *before = map(of_quarter, marts)
    solution = Seconds(today, Knowledge(MIN_CELL, method), *before).solve()
    truths = [Truth(one) for one in worlds]
    assert faults(solution, truths) == []
    return {one.cell for one in recovered(solution, truths, MIN_CELL)}


def test_seconds_since_the_day_before_are_known_from_exact_ones_alone() -> None:
    """Three viewers watched on Tuesday: they are today's quarter to date less yesterday's, unless both are rounded."""
    plays = [*everybody(range(12), 11, 0), *everybody(range(3), 12, 1, seconds=900)]
    worlds = World(plays, [1]).with_day_before(0)
    tuesday = Cell(0, AUDIENCE, "watched_seconds", ("2026-01-06", 1, "**"))
    exact = [seconds_withheld(publish(one), MIN_CELL) for one in worlds]
    assert known(exact[:1], worlds, Method.WITHHELD) == set()
    assert tuesday in known(exact, worlds, Method.WITHHELD)
    rounded = [publish(one, MIN_CELL, protect) for one in worlds]
    assert known(rounded, worlds, Method.ROUNDED) == set()


# Departures

FIRST_DAY, END = date(2026, 1, 5), 27
"""Show 1 ends on day 27 of this one, a Sunday, so that its departures are those of the week that ends 28 days later."""
SHOW_OF = {11: 1, 21: 2}


def plays_of(again: Collection[int]) -> list[Watched]:
    """Return plays of thirty viewers of show 1 up to its end, and of forty of show 2; some of all come again later."""
    before = [Watched(20, viewer, 11, "KR", 600) for viewer in range(30)]
    before += [Watched(20, viewer, 21, "KR", 600) for viewer in range(50, 90)]
    return [*before, *(Watched(40, viewer, 21, "KR", 600) for viewer in again)]


def departures_mart(again: Collection[int], run: str, min_cell: int = 1) -> Published:
    """Return the departures of a mart, with the ledger of hours: those of day 40 are of a run."""
    found = find_departures(plays_of(again), SHOW_OF, {1: END}, 120, Fraction(9, 10))
    ended = FIRST_DAY + timedelta(days=END)
    rows = [
        {"show_id": show, "kind": kind, "ended": ended, "days_before": 28, **row}
        for (show, kind), row in sorted(found.items())
    ]
    table = pa.Table.from_pylist(rows, schema=DEPARTURE_DATASET.schema)
    (protected,) = protect({DEPARTURE_DATASET.name: table}, min_cell).values()
    start = datetime.combine(FIRST_DAY, datetime.min.time())
    spans = [("viewership", f"day {day}", start + timedelta(days=day), run if day == 40 else "first")
             for day in range(END - 27, 56)]  # fmt: skip
    spans.append(("audience_base", "2026-W09", start + timedelta(days=49), run))
    ledger = [
        {"dataset": name, "period": period, "grain": "week", "starts_at": at, "ends_at": at + timedelta(days=7),
         "run_id": run_id, "hours": 168}
        for name, period, at, run_id in spans
    ]  # fmt: skip
    return Published(
        {DEPARTURE: [{**row, "period": "2026-W09"} for row in protected.to_pylist()], "load_ledger": ledger}
    )


def attacked(marts: Sequence[Published], method: Method) -> Attack:
    """Attack marts whose attacker knows that only late files came in between."""
    return attack(marts, Knowledge(MIN_CELL, method, only_late=True))


def test_one_who_is_seen_again_by_a_late_file_is_known_from_exact_departures_alone() -> None:
    """Of thirty viewers of a show that ended, a late file brings the thirteenth who is seen again: 13 less 12."""
    seen = range(12), range(13)
    exact = [withheld(departures_mart(one, str(one)), MIN_CELL) for one in reversed(seen)]
    found = attacked(exact, Method.WITHHELD).recovered
    terms = {(1, Cell(mart, DEPARTURE, "seen_again", ("2026-W09", 1, "sole"))) for mart in (0, 1)}
    assert any({(abs(factor), cell) for factor, cell in one.terms} == terms and one.low == one.high == 1
               for one in found)  # fmt: skip
    rounded = [departures_mart(one, str(one), MIN_CELL) for one in reversed(seen)]
    assert attacked(rounded, Method.ROUNDED).recovered == []


@pytest.mark.parametrize("late", [1, 5, 9])
@pytest.mark.parametrize("before", [4, 14, 20])
def test_any_few_who_are_seen_again_are_not_known(before: int, late: int) -> None:
    """Whatever rounds up or does not, no number of viewers who came by a late file is determined."""
    marts = [departures_mart(range(number), str(number), MIN_CELL) for number in (before + late, before)]
    assert attacked(marts, Method.ROUNDED).recovered == []

"""Questions about sets of shows equal loops in plain Python, in DuckDB and in MySQL: ties, halves, nobody, nulls."""

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from marquee.errors import ConfigError
from marquee.lake import keys
from marquee.lake.datasets import AUDIENCE, AUDIENCE_BASE, OVERLAP, SHOW_ORDER, WORLDWIDE
from marquee.mart.answers import Answered, answer
from marquee.mart.base import read_mart
from marquee.mart.questions import ask, find_question
from marquee.storage.local import LocalStore
from tests.helpers_mart import Kiosk, SmallLake, kiosk_of, load
from tests.oracle.set_answers import SetContent, keep_order, overlap, removal_order

WEEK = "2026-W02"
SHOWS = range(1, 13)
ORACLES = {"removal-order": removal_order, "keep-order": keep_order, "overlap": overlap}
STRATEGIES = {
    **dict.fromkeys(("remove", "remove_by_hours", "remove_by_reach", "remove_by_sole"), 8),
    **dict.fromkeys(("keep", "keep_by_hours", "keep_by_reach"), 6),
}


def generated(seed: int, active: int | None, seconds: int) -> SetContent:
    """Return orders and overlaps with ties, withheld pairs, pairs of nobody, and shows without genres."""
    rng = random.Random(seed)  # noqa: S311 - for test data
    orders: list[dict[str, Any]] = []
    for strategy, steps in STRATEGIES.items():
        viewers, watched = 0, 0
        for step, show in enumerate(rng.sample(SHOWS, steps), start=1):
            viewers, watched = viewers + rng.choice([0, 1, 25]), watched + rng.choice([0, 36, 900])
            row = {"step": step, "show_id": show, "viewers": viewers, "watched_seconds": watched}
            orders.append({"strategy": strategy, **row})
    overlaps: list[dict[str, Any]] = []
    for one in SHOWS:
        for other in range(one, SHOWS.stop):
            both = rng.choice([10, 50, 400]) if one == other else rng.choice([None, 0, 5, 10, 10, 7])
            alone = rng.choice([None, 0, 5, 10]) if one == other else None
            for ids in {(one, other), (other, one)}:
                row = dict(zip(("show_id", "other_show_id"), ids, strict=True))
                overlaps.append({**row, "viewers": both, "only_of_genre_viewers": alone})
    titles = {show: f"Show {show}" for show in SHOWS}
    return SetContent(WEEK, titles, orders, overlaps, {"active_viewers": active, "watched_seconds": seconds})


def publish(lake: LocalStore, content: SetContent, period: str = WEEK) -> None:
    """Write a lake of the content, and an audience of a day in the period, which has no sets."""
    small = SmallLake(lake)
    small.capture("2026-01-05", shows=[{"show_id": show, "name": name} for show, name in content.titles.items()])
    base = [{"country": WORLDWIDE, **content.base}]
    audience = {AUDIENCE: [], AUDIENCE_BASE: base, SHOW_ORDER: content.orders, OVERLAP: content.overlaps}
    small.publish(keys.AUDIENCE, period, audience)
    small.audience("2026-01-05", [], base)


@pytest.mark.parametrize(
    ("active", "seconds"),
    [pytest.param(2000, 7200, id="usual"), pytest.param(0, 0, id="nobody"), pytest.param(None, 60, id="withheld")],
)
def test_views_agree_with_the_oracle(
    lake: LocalStore, new_kiosk: Callable[[], Kiosk], active: int | None, seconds: int
) -> None:
    """Every view has the rows of its oracle, each once, and no number that is infinite or not a number."""
    content, kiosk = generated(1, active, seconds), new_kiosk()
    publish(lake, content)
    assert load(lake, kiosk).exit_code == 0
    for name, oracle in ORACLES.items():
        _, rows = ask(kiosk_of(kiosk), name, 0)
        assert [row for row in rows if any(isinstance(one, float) and not math.isfinite(one) for one in row)] == []
        assert set(rows) == oracle(content), name
        assert len(rows) == len(oracle(content)) > 0, name


def test_day_answers_by_the_shortest_longer_period(lake: LocalStore, new_kiosk: Callable[[], Kiosk]) -> None:
    """Where a day is reported, sets are those of its week, not of its quarter; another week is not taken."""
    content, kiosk = generated(2, 100, 3600), new_kiosk()
    publish(lake, content, "2026-Q1")
    publish(lake, content)
    publish(lake, content, "2026-W03")
    SmallLake(lake).hour("2026-01-05T10", (11, "KR", 19, "tv", 60))
    load(lake, kiosk)
    assert {row[0] for row in ask(kiosk_of(kiosk), "engagement-by-country", 0)[1]} == {"2026-01-05"}
    assert {row[0] for name in ORACLES for row in ask(kiosk_of(kiosk), name, 0)[1]} == {WEEK}


def answer_of(kiosk: Kiosk, name: str, **options: Any) -> Answered:
    """Return an answer with its line of trust."""
    with read_mart(kiosk_of(kiosk)) as mart:
        return answer(mart, find_question(name), **options)


def test_trust_is_of_the_period_that_is_counted(lake: LocalStore, new_kiosk: Callable[[], Kiosk]) -> None:
    """Asked for a day, sets answer by its week, and so does the line of trust; of a trend they have no days."""
    content, kiosk = generated(2, 100, 3600), new_kiosk()
    publish(lake, content)
    load(lake, kiosk)
    for name in ORACLES:
        answered = answer_of(kiosk, name, period="2026-01-05")
        assert {row[0] for row in answered.rows} == {WEEK}
        assert answered.trust.periods == (WEEK,)
        with pytest.raises(ConfigError, match=r"Invalid trend 'day' of .* Use one of: week, month, quarter"):
            answer_of(kiosk, name, trend="day")


@pytest.mark.parametrize("name", ["where-they-stop", "season-steps"])
def test_seasons_of_a_day_are_not_withheld(name: str, lake: LocalStore, new_kiosk: Callable[[], Kiosk]) -> None:
    """Asked for a day with a withheld show, the answer says that days have no seasons."""
    small, kiosk = SmallLake(lake), new_kiosk()
    small.capture("2026-01-05", shows=[{"show_id": 1, "name": "Case"}])
    row = {"show_id": 1, "country": WORLDWIDE, "reach": None, "watched_seconds": 60}
    small.audience("2026-01-05", [row], [{"country": WORLDWIDE, "active_viewers": 20, "watched_seconds": 60}])
    load(lake, kiosk)
    for period in (None, "2026-01-05"):
        answered = answer_of(kiosk, name, period=period)
        assert answered.rows == []
        assert answered.empty.startswith("2026-01-05 is a day; ")
        assert answered.trust.withheld == 0

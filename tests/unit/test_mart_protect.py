"""Protection of the audience in a mart: what is rounded, withheld and left out, on small tables."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from marquee.lake import keys
from marquee.lake.datasets import (
    AUDIENCE,
    AUDIENCE_BASE,
    AUDIENCE_GENRE,
    DEPARTURE,
    LAUNCH,
    OVERLAP,
    SEASON_STEP,
    SHOW_ORDER,
    Dataset,
    Figure,
)
from marquee.mart.ledger import LOADED_OF
from marquee.mart.protect import protect, round_viewers

H = 3600


def table(dataset: Dataset, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows of a dataset; columns that they lack are null, or 0 where null is not allowed."""
    empty = {one.name: None if one.nullable else 0 for one in dataset.columns}
    return pa.Table.from_pylist([{**empty, **row} for row in rows], schema=dataset.schema)


def publish(dataset: Dataset, rows: Sequence[Mapping[str, Any]], min_cell: int = 10) -> list[dict[str, Any]]:
    """Return the protected rows of one dataset."""
    found: list[dict[str, Any]] = protect({dataset.name: table(dataset, rows)}, min_cell)[dataset.name].to_pylist()
    return found


def show(show_id: int, country: str, reach: int, hours: float, **more: object) -> dict[str, Any]:
    """Return a row of audience."""
    return {"show_id": show_id, "country": country, "reach": reach, "watched_seconds": round(hours * H), **more}


def base(country: str, viewers: int, hours: float) -> dict[str, Any]:
    """Return a row of audience_base."""
    return {"country": country, "active_viewers": viewers, "watched_seconds": round(hours * H)}


def test_every_column_says_how_it_is_published() -> None:
    """A column of a published dataset is part of the key, or declares its figure and the viewers that it is of."""
    for dataset in LOADED_OF[keys.AUDIENCE]:
        viewers = {one.name for one in dataset.columns if one.figure is Figure.VIEWERS}
        for one in dataset.columns[dataset.key :]:
            assert one.figure is not None, f"{dataset.name}.{one.name}"
            assert one.of in {"", *viewers}
            assert one.of or one.figure is not Figure.SECONDS


def test_every_published_dataset_has_rules() -> None:
    """Each dataset that a mart loads from the audience can be protected, without rows as well."""
    empty = {one.name: one.schema.empty_table() for one in LOADED_OF[keys.AUDIENCE]}
    for dataset in LOADED_OF[keys.AUDIENCE]:
        found = protect(empty, 10)[dataset.name]
        assert found.column_names == dataset.schema.names
        assert found.num_rows == 0


@pytest.mark.parametrize(
    ("min_cell", "exact", "published"),
    [
        (10, [0, 4, 5, 14, 15, 24, 25, 104, None], [0, 0, 10, 10, 20, 20, 30, 100, None]),
        (3, [0, 1, 2, 4, 5, 7, 8], [0, 0, 3, 3, 6, 6, 9]),
        (1, [0, 1, 2], [0, 1, 2]),
    ],
)
def test_viewers_are_rounded_to_the_nearest_multiple(
    min_cell: int, exact: list[int | None], published: list[int | None]
) -> None:
    """Halves go up, few viewers are told as none, and what an earlier version withheld stays null."""
    assert round_viewers(pa.chunked_array([exact], pa.int64()), min_cell).to_pylist() == published


def test_a_least_number_of_one_changes_nothing() -> None:
    """With 1, all figures are published as they are."""
    rows = table(AUDIENCE, [show(1, "**", 3, 0.2, return_days=1.3, valued_seconds=7.5)])
    assert protect({AUDIENCE.name: rows}, 1)[AUDIENCE.name].equals(rows)


def test_figures_of_a_show_are_of_rounded_viewers_and_hours() -> None:
    """24 viewers, 47 hours, 10 hours of runtime, 60 days: 20, 50, and ratios of these; days to a tenth of 5 viewers."""
    (found,) = publish(
        AUDIENCE,
        [
            show(
                1,
                "**",
                24,
                47,
                runtime_seconds=10 * H,
                average_seconds=47 * H / 24,
                return_days=60 / 24,
                sole_viewers=13,
                near_sole_viewers=24,
                new_viewers=9,
                binge_viewers=0,
                valued_seconds=44.0 * H,
            )
        ],
    )
    assert found["reach"] == 20
    assert found["watched_seconds"] == 50 * H
    assert found["views"] == 5
    assert found["average_seconds"] == 50 * H / 20
    assert found["loyalty"] == 0.25
    assert found["return_days"] == 2.5  # a multiple of 10 days over 20 viewers
    assert (found["sole_viewers"], found["near_sole_viewers"]) == (10, 20)
    assert (found["new_viewers"], found["binge_viewers"]) == (10, 0)
    assert found["valued_seconds"] is None  # of 20 viewers, 10 are sole


def test_a_show_of_few_viewers_has_no_seconds() -> None:
    """Fourteen viewers are told as 10, which 5 would be, too: no seconds, no runtime of what they played, no ratio."""
    more = {"runtime_seconds": 1800, "views": 2.0, "loyalty": 0.5, "return_days": 1.5, "sole_viewers": 6}
    (found,) = publish(AUDIENCE, [show(1, "**", 14, 100, valued_seconds=360_000.0, average_seconds=9.0, **more)])
    known = {name: value for name, value in found.items() if value is not None}
    assert known == {"show_id": 1, "country": "**", "reach": 10, "sole_viewers": 10}


def test_viewers_without_reach_have_no_seconds() -> None:
    """Who plays for less than reach_seconds is nobody in reach: 0, but their seconds may be of one of them."""
    (found,) = publish(AUDIENCE, [show(1, "**", 0, 6)])
    assert (found["reach"], found["watched_seconds"]) == (0, None)


def test_seconds_that_round_to_nothing_are_withheld() -> None:
    """Twenty viewers of 4 hours: null, because 0 would say that nobody watched."""
    (found,) = publish(AUDIENCE, [show(1, "**", 20, 4)])
    assert (found["reach"], found["watched_seconds"], found["average_seconds"]) == (20, None, None)


def test_hours_worldwide_leave_out_countries_of_few_viewers() -> None:
    """Seven viewers in two countries have 40 hours: worldwide has the 60 of the third country.

    Worldwide less KR would otherwise be 40 hours of the seven.
    """
    rows = [show(1, "**", 37, 100), show(1, "JP", 3, 15), show(1, "KR", 30, 60), show(1, "SE", 4, 25)]
    found = publish(AUDIENCE, rows)
    assert [one["watched_seconds"] for one in found] == [60 * H, None, 60 * H, None]
    assert [one["reach"] for one in found] == [40, 0, 30, 0]


def test_hours_worldwide_have_countries_that_are_enough_together() -> None:
    """Five viewers in each of two countries are ten, and published as 20: their hours are worldwide."""
    rows = [show(1, "**", 40, 100), show(1, "JP", 5, 20), show(1, "KR", 30, 60), show(1, "SE", 5, 20)]
    assert [one["watched_seconds"] for one in publish(AUDIENCE, rows)] == [100 * H, None, 60 * H, None]


def test_what_is_left_out_of_one_show_stays_in_another() -> None:
    """Each show is judged by its own countries, and each genre by its own."""
    rows = [show(1, "**", 20, 50), show(1, "JP", 20, 50), show(2, "**", 22, 50), show(2, "JP", 2, 30)]
    rows += [show(2, "KR", 20, 20)]
    assert [one["watched_seconds"] for one in publish(AUDIENCE, rows)] == [50 * H, 50 * H, 20 * H, None, 20 * H]
    genres = [
        {"genre": genre, "country": country, "reach": reach, "watched_seconds": hours * H}
        for genre, country, reach, hours in [
            ("Crime", "**", 22, 50),
            ("Crime", "JP", 2, 30),
            ("Crime", "KR", 20, 20),
            ("Drama", "**", 20, 50),
        ]
    ]
    assert [one["watched_seconds"] for one in publish(AUDIENCE_GENRE, genres)] == [20 * H, None, 20 * H, 50 * H]


def test_valued_hours_are_withheld_if_few_watched_anything_else() -> None:
    """Of 44 viewers 40 are sole: what valued hours lack tells how much else the four watched. Of 44 and 20, 24 do."""
    few = show(1, "**", 44, 50, sole_viewers=40, valued_seconds=40.0 * H)
    enough = show(2, "**", 44, 50, sole_viewers=20, valued_seconds=40.0 * H)
    assert [one["valued_seconds"] for one in publish(AUDIENCE, [few, enough])] == [None, 40 * H]


def test_the_smallest_further_country_hides_the_few() -> None:
    """All hours are known, so those of JP's 3 viewers would be the rest: SE, the smallest further country, has none."""
    rows = [base("**", 63, 300), base("JP", 3, 20), base("KR", 40, 200), base("SE", 20, 80)]
    found = {one["country"]: (one["active_viewers"], one["watched_seconds"]) for one in publish(AUDIENCE_BASE, rows)}
    assert found == {"**": (60, 300 * H), "JP": (0, None), "KR": (40, 200 * H), "SE": (20, None)}


def test_countries_that_are_enough_together_hide_themselves() -> None:
    """Six and five viewers in two countries are published as 20, so that no further country is withheld."""
    rows = [base("**", 51, 300), base("JP", 6, 60), base("KR", 40, 200), base("SE", 5, 40)]
    assert [one["watched_seconds"] for one in publish(AUDIENCE_BASE, rows)] == [300 * H, None, 200 * H, None]


def test_what_is_expected_of_viewers_alike_is_rounded() -> None:
    """33.4 of 52 are expected, with a variance of 11: 30, and at most 20. Of 14, nothing is; 4 viewers have no row."""
    row = {
        "show_id": 1,
        "kind": "sole",
        "ended": date(2026, 1, 5),
        "viewers": 58,
        "seen_again": 20,
        "compared": 52,
        "compared_seen": 14,
        "expected_seen": 33.4,
        "expected_variance": 11.0,
    }
    few = {**row, "kind": "near_sole", "compared": 14, "compared_seen": 3}
    found = publish(DEPARTURE, [few, {**row, "kind": "other", "viewers": 4}, row])
    names = ("viewers", "seen_again", "compared", "compared_seen", "expected_seen", "expected_variance")
    assert [tuple(one[name] for name in names) for one in found] == [
        (60, 20, 10, 0, None, None),
        (60, 20, 50, 10, 30.0, 20.0),
    ]


def test_an_order_has_no_shows_of_few_viewers() -> None:
    """Its seconds are the sums of the hours that the shows' own rows publish: 20, nothing for 4 hours, 30 more."""
    audience = table(
        AUDIENCE, [show(1, "**", 22, 18), show(2, "**", 22, 4), show(3, "**", 14, 99), show(4, "**", 50, 33)]
    )
    steps = [
        {"strategy": "remove", "step": step, "show_id": one, "viewers": viewers, "watched_seconds": 1}
        for step, (one, viewers) in enumerate([(1, 0), (2, 4), (3, 8), (4, 28)], start=1)
    ]
    found = protect({AUDIENCE.name: audience, SHOW_ORDER.name: table(SHOW_ORDER, steps)}, 10)[SHOW_ORDER.name]
    names = ("step", "show_id", "viewers", "watched_seconds")
    assert [tuple(row[name] for name in names) for row in found.to_pylist()] == [
        (1, 1, 0, 20 * H),
        (2, 2, 0, 20 * H),
        (4, 4, 30, 50 * H),
    ]


def test_order_of_keeping_ends_with_the_first_step_that_adds_no_published_viewer() -> None:
    """Of 44, 58, 62 and 75 viewers, 40 and 60 are published: 62 would be 60 again, and what follows adds less."""
    audience = table(AUDIENCE, [show(one, "**", 44, 20) for one in (1, 2, 3, 4)])
    steps = [
        {"strategy": strategy, "step": step, "show_id": step, "viewers": viewers, "watched_seconds": 1}
        for strategy in ("keep", "keep_by_hours")
        for step, viewers in enumerate((44, 58, 62, 75), start=1)
    ]
    found = protect({AUDIENCE.name: audience, SHOW_ORDER.name: table(SHOW_ORDER, steps)}, 10)[SHOW_ORDER.name]
    assert [(row["strategy"], row["viewers"]) for row in found.to_pylist()] == [
        ("keep", 40),
        ("keep", 60),
        ("keep_by_hours", 40),
        ("keep_by_hours", 60),
        ("keep_by_hours", 60),
        ("keep_by_hours", 80),
    ]


def test_overlaps_are_rounded() -> None:
    """A show that reached 4 viewers has no pair: that there is one would say that it reached somebody."""
    pairs = [(1, 1, 44, 12), (1, 2, 0, None), (1, 3, 16, None), (2, 2, 4, 1), (3, 3, 25, 4), (3, 1, 16, None)]
    rows = [
        {"show_id": one, "other_show_id": other, "viewers": both, "only_of_genre_viewers": alone}
        for one, other, both, alone in pairs
    ]
    found = [tuple(row.values()) for row in publish(OVERLAP, rows)]
    assert found == [(1, 1, 40, 10), (1, 3, 20, None), (3, 3, 30, 0), (3, 1, 20, None)]


def test_the_share_kept_is_in_steps_of_the_least_viewers() -> None:
    """Of 50 viewers, 0.68 stand for 34: 30 of 50, 0.6. Then 0.68 * 20 / 31 = 0.44 of 50 is 22: 20, 0.4.

    At the next step 14 are at risk: no share from there on, although the one after has enough.
    """
    counts = [(None, None, None), (50, 34, 0.68), (31, 20, 0.68 * 20 / 31), (14, 7, 0.15), (20, 20, 0.15)]
    rows = [
        {
            "show_id": 1,
            "season": 1,
            "step": step,
            "viewers": 60,
            "at_risk": risk,
            "reached": reached,
            "waiting": 0 if risk else None,
            "kept": share if step > 1 else 1.0,
        }
        for step, (risk, reached, share) in enumerate(counts, start=1)
    ]
    found = publish(SEASON_STEP, rows)
    assert [(one["at_risk"], one["reached"]) for one in found] == [
        (None, None),
        (50, 30),
        (30, 20),
        (10, 10),
        (20, 20),
    ]
    assert [one["kept"] and round(one["kept"], 9) for one in found] == [1.0, 0.6, 0.4, None, None]


def test_a_launch_of_few_viewers_has_no_hours() -> None:
    """Fourteen viewers on the first day are told as 10, without hours; fifteen have theirs."""
    rows = [
        {"show_id": one, "premiered": date(2026, 1, 5), "age": 1, "reach": reach, "watched_seconds": 22 * H}
        for one, reach in [(1, 14), (2, 15)]
    ]
    assert [(one["reach"], one["watched_seconds"]) for one in publish(LAUNCH, rows)] == [(10, None), (20, 20 * H)]

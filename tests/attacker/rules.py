"""The attacker's rules on one mart: what the definitions say about the sets that its tables count.

Each rule states which sums of published counts are sizes of sets. So what lies between a set and its part is a target
too: "in reach, but not new", "reached anywhere, but in no published country". Rules on periods, and on the mart of the
day before, are in ``rules_of_time``.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise

from tests.attacker.counts import (
    AUDIENCE,
    BASE,
    DEPARTURE,
    GENRE,
    LAUNCH,
    ORDER,
    OVERLAP,
    SEASON,
    STEP,
    TRAITS,
    Counts,
)
from tests.attacker.published import MANY, UNKNOWN_SHOW, WORLDWIDE, Key, Method, grouped

Rule = Callable[[Counts], None]


def parts(counts: Counts) -> None:
    """State that traits are parts of the reach, and of each other: reach against its parts and complements."""
    for key in counts.keys(AUDIENCE):
        block = key[1]
        reach = counts.of(AUDIENCE, "reach", *key)
        own = {trait: counts.of(AUDIENCE, trait, *key) for trait in TRAITS}
        for trait in TRAITS:
            counts.model.state("parts", block, [reach], [own[trait]])
        for whole, part in (
            ("near_sole_viewers", "sole_viewers"),
            ("new_viewers", "new_sole_viewers"),
            ("sole_viewers", "new_sole_viewers"),
            ("binge_viewers", "binge5_viewers"),
        ):
            counts.model.state("parts", block, [own[whole]], [own[part]])
        both = own["new_sole_viewers"]
        counts.model.state("parts", block, [reach, both], [own["new_viewers"], own["sole_viewers"]])
    for key in counts.keys(BASE):
        active = counts.of(BASE, "active_viewers", *key)
        for trait in ("new_viewers", "multilingual_viewers"):
            counts.model.state("parts", "base", [active], [counts.of(BASE, trait, *key)])
    for key in counts.keys(GENRE):
        counts.model.state("parts", "base", [counts.of(GENRE, "reach", *key)], [counts.of(GENRE, "sole_viewers", *key)])


def countries(counts: Counts) -> None:
    """State that countries are parts of the world, disjoint ones without travellers: world against countries."""
    for table, columns, block in (
        (AUDIENCE, ("reach", *TRAITS), None),
        (BASE, ("active_viewers", "new_viewers", "multilingual_viewers"), "base"),
        (GENRE, ("reach", "sole_viewers"), "base"),
    ):
        for key, rows in grouped(counts.keys(table), -1).items():
            there = [row for row in rows if row[-1] != WORLDWIDE]
            for column in columns:
                world = counts.of(table, column, *key, WORLDWIDE)
                _world(
                    counts, world, [counts.of(table, column, *row) for row in there], key[1] if block is None else block
                )


def _world(counts: Counts, world: int | None, here: Sequence[int | None], block: str | int) -> None:
    for one in here:
        counts.model.state("countries", block, [world], [one])
    if len(here) == 1:
        counts.model.equal("countries", block, [world], here)
    if counts.knowledge.one_country and None not in here:
        counts.model.equal("countries", block, [world], here)
        small = [one for one in here if one is not None and counts.model.bounds(one)[1] < counts.knowledge.min_cell]
        counts.model.state("countries", block, small)
        counts.model.state("countries", block, [world], [one for one in here if one not in small])


def base(counts: Counts) -> None:
    """State that the viewers of shows are active viewers, and that each of them is the sole viewer of one show."""
    active: dict[Key, list[Key]] = {}
    for key in counts.keys(AUDIENCE):
        period, show, country = key
        active.setdefault((period, country), []).append(key)
        if show == UNKNOWN_SHOW:
            counts.model.state("base", show, [counts.of(BASE, "active_viewers", period, country)],
                               [counts.of(AUDIENCE, "reach", *key)])  # fmt: skip
            continue
        for whole, part in (
            ("active_viewers", "reach"),
            ("new_viewers", "new_viewers"),
            ("multilingual_viewers", "multilingual_viewers"),
        ):
            counts.model.state(
                "base", show, [counts.of(BASE, whole, period, country)], [counts.of(AUDIENCE, part, *key)]
            )
    for (period, country), rows in active.items():
        known = [row for row in rows if row[1] != UNKNOWN_SHOW]
        for whole, part in (
            ("active_viewers", "sole_viewers"),
            ("active_viewers", "near_sole_viewers"),
            ("new_viewers", "new_sole_viewers"),
        ):
            found = [one for row in known if (one := counts.of(AUDIENCE, part, *row)) is not None]
            counts.model.state("base", "base", [counts.of(BASE, whole, period, country)], found)


def genres(counts: Counts) -> None:
    """State that the viewers of a genre's shows are its viewers; a genre with one show has the viewers of the show."""
    shows: dict[Key, list[int]] = {}
    for period, show, country in counts.keys(AUDIENCE):
        for name in counts.published.counted_genres(int(show)):
            shows.setdefault((period, name, country), []).append(int(show))
    for key in counts.keys(GENRE):
        period, genre, country = key
        whole, sole = counts.of(GENRE, "reach", *key), counts.of(GENRE, "sole_viewers", *key)
        counts.model.state("genres", "base", [counts.of(BASE, "active_viewers", period, country)], [whole])
        own = [(period, one, country) for one in shows.get(key, ())]
        reaches = [counts.of(AUDIENCE, "reach", *row) for row in own]
        soles = [counts.of(AUDIENCE, "sole_viewers", *row) for row in own]
        for row, reach in zip(own, reaches, strict=True):
            counts.model.state("genres", row[1], [whole], [reach])
        counts.model.state("genres", "base", [sole], [one for one in soles if one is not None])
        everywhere = shows.get((period, genre, WORLDWIDE), [])
        if len(everywhere) == 1 == len(own):
            counts.model.equal("genres", "base", [whole], reaches)
            counts.model.equal("genres", "base", [sole], soles)


def overlap(counts: Counts) -> None:
    """State that who watches two shows is in the reach of both, and the sole viewer of neither."""
    genres_of = counts.published.genres_of
    for key in counts.keys(OVERLAP):
        period, show, other = key
        block = (period, show)
        both = counts.of(OVERLAP, "viewers", *key)
        reach = counts.of(AUDIENCE, "reach", period, show, WORLDWIDE)
        sole = counts.of(AUDIENCE, "sole_viewers", period, show, WORLDWIDE)
        if show == other:
            alone = counts.of(OVERLAP, "only_of_genre_viewers", *key)
            counts.model.equal("overlap", block, [reach], [both])
            counts.model.state("overlap", block, [reach], [alone])
            counts.model.state("overlap", block, [alone], [sole])
            continue
        counts.model.state("overlap", block, [reach], [both])
        counts.model.state("overlap", block, [reach], [both, sole])
        counts.model.equal("overlap", block, [both], [counts.of(OVERLAP, "viewers", period, other, show)])
        if set(genres_of.get(int(show), ())) & set(genres_of.get(int(other), ())):
            alone = counts.of(OVERLAP, "only_of_genre_viewers", period, show, show)
            counts.model.state("overlap", block, [reach], [both, alone])
        theirs = counts.of(AUDIENCE, "reach", period, other, WORLDWIDE)
        active = counts.of(BASE, "active_viewers", period, WORLDWIDE)
        counts.model.state("overlap", block, [active, both], [reach, theirs])


def orders(counts: Counts) -> None:
    """State what each step of an order adds: at least its sole viewers, at most its reach; best steps, less or more."""
    by_step = {key: row["show_id"] for key, row in counts.rows[ORDER].items()}
    for key, show in by_step.items():
        period, strategy, step = key
        block = (period, "order")
        now, before = (counts.of(ORDER, "viewers", period, strategy, int(step) - back) for back in (0, 1))
        if step != 1 and before is None:  # steps between are not published
            backs = [back for back in range(2, int(step)) if (period, strategy, int(step) - back) in by_step]
            found: list[int | None] = []
            if backs:
                found = [counts.of(ORDER, "viewers", period, strategy, int(step) - min(backs))]
            counts.model.state("orders", block, [now], found)
            counts.model.state(
                "orders", block, [now], [*found, counts.of(AUDIENCE, "sole_viewers", period, show, WORLDWIDE)]
            )
            continue
        reach, sole = (counts.of(AUDIENCE, name, period, show, WORLDWIDE) for name in ("reach", "sole_viewers"))
        past = [] if step == 1 else [before]
        counts.model.state("orders", block, [counts.of(BASE, "active_viewers", period, WORLDWIDE)], [now])
        counts.model.state("orders", block, [now], past)
        counts.model.state("orders", block, [now], [*past, sole])
        if str(strategy).startswith("keep"):
            counts.model.state("orders", block, [reach, *past], [now])
        if step == 1 and str(strategy).startswith("keep"):
            counts.model.equal("orders", block, [now], [reach])
        if step == 1 and str(strategy).startswith("remove"):
            counts.model.equal("orders", block, [now], [sole])
        if strategy in {"keep", "remove"} and int(step) > 1:
            earlier = [] if step == 2 else [counts.of(ORDER, "viewers", period, strategy, int(step) - 2)]
            twice, around = [before, before], [*earlier, now]
            more, less = (twice, around) if strategy == "keep" else (around, twice)
            counts.model.state("orders", block, more, less)
        if str(strategy).startswith("keep") and step == 2:
            first = by_step[period, strategy, 1]
            both = counts.of(OVERLAP, "viewers", period, first, show)
            counts.model.equal("orders", block, [now, both], [before, reach])


def ranks(counts: Counts) -> None:
    """State what a show's place in an order says: reach and sole viewers do not fall, and rise if the hours fall."""
    seconds = {
        (row["period"], row["show_id"]): row["watched_seconds"]
        for row in counts.published.of(AUDIENCE)
        if row["country"] == WORLDWIDE
    }
    for (period, strategy), keys in grouped(counts.keys(ORDER), -1).items():
        way = {"remove_by_reach": ("reach", 1), "remove_by_sole": ("sole_viewers", 1), "keep_by_reach": ("reach", -1)}
        if strategy not in way:
            continue
        column, sign = way[str(strategy)]
        shows = [counts.rows[ORDER][key]["show_id"] for key in sorted(keys, key=lambda one: int(one[2]))]
        for one, other in pairwise(shows):
            low, high = (counts.of(AUDIENCE, column, period, show, WORLDWIDE) for show in (one, other)[::sign])
            hours = [seconds.get((period, show)) or 0 for show in (one, other)]
            strict = counts.knowledge.method is Method.WITHHELD and all(hours) and sign * (hours[0] - hours[1]) > 0
            counts.model.state("ranks", (period, "order"), [high], [low], (1 if strict else 0, MANY))


def seasons(counts: Counts) -> None:
    """State how the steps of a season follow: who arrived at a step is at risk at the next, or waits."""
    runtimes: dict[int, list[int | None]] = {}
    for row in counts.published.of("dim_episode"):
        runtimes.setdefault(row["show_id"], []).append(row["runtime_minutes"])
    for season, keys in grouped(counts.keys(STEP), -1).items():
        steps = sorted(int(key[3]) for key in keys)
        period, show, _ = season
        block = show
        own = {name: {step: counts.of(STEP, name, *season, step) for step in steps}
               for name in ("viewers", "at_risk", "reached", "waiting")}  # fmt: skip
        reach = counts.of(AUDIENCE, "reach", period, show, WORLDWIDE)
        long = all(one is not None and one >= 3 for one in runtimes.get(int(show), [None]))
        for step in steps:
            counts.model.state("seasons", block, [own["at_risk"][step]], [own["reached"][step]])
            if long:  # 70 % of it are more than the seconds of reach
                counts.model.state("seasons", block, [reach], [own["viewers"][step]])
            if step + 1 in own["at_risk"]:
                arrived = [own["at_risk"][step + 1], own["waiting"][step + 1]]
                counts.model.state("seasons", block, arrived, [own["viewers"][step]])
                counts.model.state("seasons", block, arrived, [own["reached"][step]])
                if step == 1:
                    counts.model.equal("seasons", block, arrived, [own["viewers"][1]])
        starters, finishers = (counts.of(SEASON, name, *season) for name in ("starters", "finishers"))
        counts.model.equal("seasons", block, [starters], [own["viewers"][steps[0]]])
        counts.model.equal("seasons", block, [finishers], [own["viewers"][steps[-1]]])


def launches(counts: Counts) -> None:
    """State that who watched on a day since the premiere is in the reach of the launch."""
    for key in counts.keys(LAUNCH):
        period, show = key
        row = counts.rows[LAUNCH][key]
        reach = counts.of(LAUNCH, "reach", *key)
        spans = counts.published.spans
        end = spans[str(period)][1] if str(period) in spans else None
        for other, (start, until) in spans.items():
            if end is None or start.date() < row["premiered"] or until > end:
                continue
            theirs = counts.of(AUDIENCE, "reach", other, show, WORLDWIDE)
            counts.model.state("launches", show, [reach], [theirs])
            if start.date() == row["premiered"] and until == end and _is_whole(counts, other):
                counts.model.equal("launches", show, [reach], [theirs])
        for earlier in counts.keys(LAUNCH):
            if earlier[1] == show and counts.rows[LAUNCH][earlier]["age"] < row["age"]:
                counts.model.state("launches", show, [reach], [counts.of(LAUNCH, "reach", *earlier)])


def _is_whole(counts: Counts, period: str) -> bool:
    start, end = counts.published.spans[period]
    return counts.published.hours(period) * timedelta(hours=1) == end - start


def departures(counts: Counts) -> None:
    """State that the viewers seen again and those compared are parts of the viewers."""
    for key in counts.keys(DEPARTURE):
        viewers, again, compared, both = (
            counts.of(DEPARTURE, name, *key) for name in ("viewers", "seen_again", "compared", "compared_seen")
        )
        for whole, part in ((viewers, again), (viewers, compared), (compared, both), (again, both)):
            counts.model.state("departures", key[1], [whole], [part])
        counts.model.state("departures", key[1], [viewers, both], [again, compared])


RULES: Sequence[Rule] = (
    parts,
    countries,
    base,
    genres,
    overlap,
    orders,
    ranks,
    seasons,
    launches,
    departures,
)

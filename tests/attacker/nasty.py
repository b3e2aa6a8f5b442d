"""Worlds made to break a protection: each has a secret, a set of few viewers whose number the attacker wants.

A secret is a sum of published counts: coefficients and cells, as in a claim. Unless said otherwise, the period is the
first week, and all viewers watch in Korea.
"""

from dataclasses import dataclass

from tests.attacker.counts import AUDIENCE, BASE, GENRE, ORDER, OVERLAP, STEP
from tests.attacker.model import Cell
from tests.attacker.worlds import Seen, World, everybody

WEEK, DAYS = "2026-W02", [f"2026-01-{day:02}" for day in range(5, 12)]


@dataclass(frozen=True)
class Secret:
    """A set of viewers, as a sum of cells, and their number."""

    terms: tuple[tuple[int, Cell], ...]
    viewers: int


@dataclass(frozen=True)
class Nasty:
    """A world and its secret. ``day_before`` is the last day of an earlier mart, which the attacker has kept."""

    world: World
    secret: Secret
    day_before: int | None = None


def cell(column: str, *key: str | int, table: str = AUDIENCE, mart: int = 0) -> Cell:
    """Return a cell."""
    return Cell(mart, table, column, key)


def secret(viewers: int, *terms: tuple[int, Cell]) -> Secret:
    """Return a secret."""
    return Secret(terms, viewers)


def country_of_one_viewer() -> Nasty:
    """Twelve viewers in Korea, and one in Sweden: the world less Korea is the one."""
    plays = [*everybody(range(12), 11, 0), *everybody([99], 11, 0, country="SE")]
    return Nasty(World(plays, [1]), secret(1, (1, cell("reach", WEEK, 1, "SE"))))


def the_only_one_who_watches_more() -> Nasty:
    """Thirteen viewers of a show, of whom one watches another show: the complement of its sole viewers is the one."""
    plays = [*everybody(range(13), 11, 0), *everybody(range(12, 40), 21, 0, hour=15)]
    terms = ((-1, cell("sole_viewers", WEEK, 1, "**")), (1, cell("reach", WEEK, 1, "**")))
    return Nasty(World(plays, [1, 2]), Secret(terms, 1))


def one_comes_on_the_second_day() -> Nasty:
    """Twelve viewers on Monday, and on Tuesday they and one more: the week less Monday is the one."""
    plays = [*everybody(range(12), 11, 0), *everybody(range(13), 12, 1)]
    terms = ((-1, cell("reach", DAYS[0], 1, "**")), (1, cell("reach", WEEK, 1, "**")))
    return Nasty(World(plays, [1]), Secret(terms, 1))


def one_comes_since_yesterday() -> Nasty:
    """As before, by the quarter to date of yesterday and today's, whose days were not loaded or are not trusted."""
    world = one_comes_on_the_second_day().world
    terms = ((1, cell("reach", "2026-Q1", 1, "**")), (-1, cell("reach", "2026-Q1", 1, "**", mart=1)))
    return Nasty(world, Secret(terms, 1), day_before=0)


def genre_of_one_show() -> Nasty:
    """Twelve viewers in Korea of the only show of its genre, and three in Sweden, as in the genre's own row."""
    plays = [*everybody(range(12), 11, 0), *everybody([97, 98, 99], 11, 0, country="SE"), *everybody(range(30), 21, 0)]
    world = World(plays, [1, 2], {1: ["Nature"]})
    return Nasty(world, secret(3, (1, cell("reach", WEEK, "Nature", "SE", table=GENRE))))


def show_with_few_beyond_its_pair() -> Nasty:
    """Fifteen viewers of a show, of whom twelve watch another one, too: the reach less the overlap is three."""
    plays = [*everybody(range(15), 11, 0), *everybody(range(3, 40), 21, 0, hour=15)]
    terms = ((-1, cell("viewers", WEEK, 1, 2, table=OVERLAP)), (1, cell("reach", WEEK, 1, "**")))
    return Nasty(World(plays, [1, 2]), Secret(terms, 3))


def tiny_steps() -> Nasty:
    """Shows of twenty viewers, and one more each time who watch nothing else: the order of removal counts them."""
    plays: list[Seen] = []
    for show in range(1, 6):
        plays += everybody(range(100, 120), 10 * show + 1, 0, hour=8 + show)
        plays += everybody(range(10 * show, 10 * show + show), 10 * show + 1, 0, hour=8 + show)
    terms = ((1, cell("viewers", WEEK, "remove", 2, table=ORDER)),
             (-1, cell("viewers", WEEK, "remove", 1, table=ORDER)))  # fmt: skip
    return Nasty(World(plays, range(1, 6)), Secret(terms, 2))


def those_who_stop() -> Nasty:
    """Forty start a season, of whom 37 go on to the second episode: three stop."""
    plays = [*everybody(range(40), 11, 0, seconds=1700), *everybody(range(37), 12, 1, seconds=1700)]
    plays += everybody(range(5), 13, 6)
    step = ("2026-W02", 1, 1, 2)
    terms = (
        (1, cell("at_risk", *step, table=STEP)),
        (-1, cell("reached", *step, table=STEP)),
    )
    return Nasty(World(plays, [1]), Secret(terms, 3))


def fourteen_in_five_countries() -> Nasty:
    """Ten viewers in Korea and one in each of four countries. Rounded, they are 10, four times few, and 10 in all."""
    plays = everybody(range(10), 11, 0)
    for number, country in enumerate(("SE", "JP", "DE", "US")):
        plays += everybody([90 + number], 11, 0, country=country)
    return Nasty(World(plays, [1]), secret(1, (1, cell("reach", WEEK, 1, "SE"))))


def a_new_viewer_a_day() -> Nasty:
    """Ten viewers on Monday, and one new one on each of the four days after: 10, four times few, and 10 in the week."""
    plays = everybody(range(10), 11, 0)
    for day in range(1, 5):
        plays += everybody([*range(10), 90 + day], 11, day)
    return Nasty(World(plays, [1]), secret(1, (1, cell("new_viewers", DAYS[2], "**", table=BASE))))


def five_times_nine() -> Nasty:
    """Nine viewers in each of five countries: 45, which is rounded up to 50, is reached only if all have nine."""
    plays: list[Seen] = []
    for number, country in enumerate(("KR", "SE", "JP", "DE", "US")):
        plays += everybody(range(10 * number, 10 * number + 9), 11, 0, country=country)
    return Nasty(World(plays, [1]), secret(9, (1, cell("reach", WEEK, 1, "SE"))))


SUBTRACTIONS = (
    country_of_one_viewer,
    the_only_one_who_watches_more,
    one_comes_on_the_second_day,
    one_comes_since_yesterday,
    genre_of_one_show,
    show_with_few_beyond_its_pair,
    tiny_steps,
    those_who_stop,
)
"""Worlds whose secret follows from exact counts, although small ones are withheld."""
COMBINATIONS = fourteen_in_five_countries, a_new_viewer_a_day, five_times_nine
"""Worlds whose secret follows from counts rounded to the nearest multiple, where few viewers are told from none."""


def heavy_viewers_in_a_genre() -> Nasty:
    """A genre of two shows: one of thirty viewers, and one of eight who watch it day and night, twelve hours a day."""
    plays = everybody(range(30), 11, 0, seconds=3600)
    for day in range(4):
        for hour in range(8, 20):
            plays += everybody(range(90, 98), 21, day, hour=hour, seconds=3600)
    world = World(plays, [1, 2], {1: ["Nature"], 2: ["Nature"]})
    return Nasty(world, secret(8, (1, cell("reach", WEEK, 2, "**"))))


def heavy_viewers_in_a_month() -> Nasty:
    """A show with eight viewers in January, who watch it for ten days, and with thirty others in February."""
    plays = everybody(range(30), 11, 28, seconds=3600)
    for day in range(17, 27):
        for hour in range(8, 20):
            plays += everybody(range(90, 98), 11, day, hour=hour, seconds=3600)
    return Nasty(World(plays, [1]), secret(8, (1, cell("reach", "2026-01", 1, "**"))))


HEAVY = heavy_viewers_in_a_genre, heavy_viewers_in_a_month
"""Worlds whose secret is the seconds of few viewers, which rounding to ten hours does not hide."""


def a_late_file_of_one_viewer() -> tuple[World, World]:
    """Twelve viewers on a day; a late file has one more, who watched fifty minutes. The worlds before and after."""
    plays = everybody(range(12), 11, 0)
    return World(plays, [1]), World([*plays, *everybody([60], 11, 0, seconds=3000)], [1])


def an_erased_viewer() -> tuple[World, World]:
    """The other way round: the viewer of fifty minutes is erased."""
    before, after = a_late_file_of_one_viewer()
    return after, before


def nine_who_watched_all_day() -> tuple[World, World]:
    """Twelve viewers for an hour, and nine more in a late file, who each watched an hour of each hour of a daytime."""
    plays = everybody(range(12), 11, 0, seconds=3600)
    late = [one for hour in range(12, 17) for one in everybody(range(40, 49), 11, 0, hour=hour, seconds=3600)]
    return World(plays, [1]), World([*plays, *late], [1])


def shows_with_one_sole_viewer_each() -> Nasty:
    """Shows of the same twenty viewers, each with one more who watches nothing else: each step of removal costs one."""
    plays: list[Seen] = []
    for show in range(1, 15):
        plays += [*everybody(range(100, 120), 10 * show + 1, 0), *everybody([show], 10 * show + 1, 0)]
    terms = ((1, cell("viewers", WEEK, "remove", 14, table=ORDER)),
             (-1, cell("viewers", WEEK, "remove", 13, table=ORDER)))  # fmt: skip
    return Nasty(World(plays, range(1, 15)), Secret(terms, 1))


FANS = range(100, 130)
"""Viewers of every show, so that no show is small."""


def five_shows_with_one_sole_viewer_each() -> tuple[World, list[set[int]]]:
    """Five shows with one viewer each who watches nothing else, and the sets of all of them, and of four of them.

    One by one, the five lose 5, which rounds to 10, and any four 4, which rounds to 0: so each loses one.
    """
    plays: list[Seen] = []
    for show in range(1, 6):
        plays += [*everybody(FANS, 10 * show + 1, 0), *everybody([show], 10 * show + 1, 0)]
    return World(plays, range(1, 6)), [set(range(1, 6)), *({*range(1, 6)} - {one} for one in range(1, 6))]


def ten_shows_that_each_lose_one_more() -> tuple[World, list[set[int]]]:
    """A show with four sole viewers, and ten shows with one each; the sets of the show with one of them, and with more.

    Four round to 0, and five to 10: so each of the ten loses at least one, and all together with the four, fourteen.
    They round to 10, so that they are fourteen at most.
    """
    plays = [*everybody(FANS, 11, 0), *everybody(range(4), 11, 0)]
    for show in range(2, 12):
        plays += [*everybody(FANS, 10 * show + 1, 0), *everybody([10 + show], 10 * show + 1, 0)]
    sets = [{1}, *({1, one} for one in range(2, 12)), *(set(range(1, one)) for one in range(4, 13))]
    return World(plays, range(1, 12)), sets


def heavy_viewers_beside_a_large_show() -> tuple[World, list[set[int]]]:
    """A show of thirty viewers, and one of eight who watch it day and night: both together."""
    plays = everybody(range(30), 11, 0, seconds=3600)
    for day in range(4):
        for hour in range(8, 20):
            plays += everybody(range(90, 98), 21, day, hour=hour, seconds=3600)
    return World(plays, [1, 2]), [{1}, {2}, {1, 2}]

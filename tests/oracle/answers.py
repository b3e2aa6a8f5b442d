"""A second implementation of the questions, in loops over plain rows, to check the views of the mart.

It shares no code with the views: it divides fractions, and rounds them once at the end.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import groupby
from typing import Any

WORLDWIDE = "**"
SHARE_FROM = 50
DAYPARTS = {"morning": range(6, 12), "daytime": range(12, 18), "evening": range(18, 23), "night": (23, *range(6))}

Row = Mapping[str, Any]
Answer = set[tuple[Any, ...]]


@dataclass(frozen=True)
class Content:
    """What a mart holds: one period of audiences, and the viewership of hours. Times are UTC without a zone."""

    period: str
    viewed: str
    titles: Mapping[int, str]
    """Names of all shows."""
    status: Mapping[int, str]
    ended: Mapping[int, date]
    carriers: Mapping[int, tuple[str, str]]
    """Name and kind of the network or channel of a show."""
    genres: Mapping[int, Sequence[str]]
    episodes: Mapping[int, int]
    """The show of each episode in the schedule."""
    countries: Mapping[str, str]
    """Names of the countries that have one."""
    hours: Sequence[datetime]
    """All hours loaded."""
    plays: Sequence[tuple[datetime, int, str, int, int]]
    """Hour, episode, country, local hour, seconds."""
    audience: Sequence[Row] = field(repr=False)
    base: Mapping[str, Row] = field(repr=False)
    genre_reach: Mapping[str, int | None] = field(default_factory=dict)
    """Reach worldwide of the genres that have a row."""

    def show(self, episode: int) -> int:
        """Return the show of an episode, 0 if it is in no schedule."""
        return self.episodes.get(episode, 0)

    def genres_of(self, show: int) -> Sequence[str]:
        """Return the genres of a show, or what stands for none."""
        return self.genres.get(show) or (["Unclassified"] if show else ["Unknown show"])

    def worldwide(self) -> list[Row]:
        """Return the worldwide rows of shows in the schedule."""
        return [row for row in self.audience if row["country"] == WORLDWIDE and row["show_id"]]

    def reached(self) -> list[Row]:
        """Return the rows of shows in the schedule that reached a published number of viewers."""
        return [row for row in self.audience if row["show_id"] and row["reach"]]


def rounded(value: Fraction | float | None, digits: int = 1) -> float | None:
    """Round a number, halves up, as the views do: what is within a millionth of a half is one."""
    if value is None:
        return None
    shifted = (Fraction(value) + Fraction(1, 10**6)) * 10**digits
    return float(Fraction((shifted + Fraction(1, 2)).__floor__(), 10**digits))


def percent(part: Fraction | float | None, whole: Fraction | float | None, digits: int = 1) -> float | None:
    """Return a percentage, None of nothing."""
    return rounded(Fraction(100) * Fraction(part) / Fraction(whole), digits) if part is not None and whole else None


def per(part: float | None, whole: float | None) -> Fraction | None:
    """Divide, None by nothing."""
    return Fraction(part) / Fraction(whole) if part is not None and whole else None


def places(rows: Iterable[Row], by: Callable[[Row], Any]) -> dict[int, int]:
    """Return the place of each row (by identity): one more than the number of rows with a higher value."""
    several = list(rows)
    return {id(row): 1 + sum(by(other) > by(row) for other in several) for row in several}


def genre_hours(content: Content) -> Answer:
    """Hours in full, ranked, and by fractions."""
    found = set()
    for country in {play[2] for play in content.plays}:
        full: dict[str, int] = defaultdict(int)
        parts: dict[str, Fraction] = defaultdict(Fraction)
        for _, episode, where, _, seconds in content.plays:
            genres = content.genres_of(content.show(episode))
            for genre in genres if where == country else ():
                full[genre] += seconds
                parts[genre] += Fraction(seconds, len(genres))
        total = sum(parts.values())
        for genre, seconds in full.items():
            if seconds:
                place = 1 + sum(other > seconds for other in full.values())
                shares = percent(seconds, total), rounded(parts[genre] / 3600), percent(parts[genre], total)
                hours = rounded(Fraction(seconds, 3600))
                found.add((content.viewed, country, content.countries.get(country), genre, place, hours, *shares))
    return found


def genre_daypart(content: Content) -> Answer:
    """Dayparts of a genre beside those of all viewing in the country."""
    found = set()
    seconds_of: dict[tuple[str, str, str], int] = defaultdict(int)
    everything: dict[tuple[str, str], int] = defaultdict(int)
    for _, episode, country, local_hour, seconds in content.plays:
        (part,) = (name for name, hours in DAYPARTS.items() if local_hour in hours)
        everything[country, part] += seconds
        for genre in content.genres_of(content.show(episode)):
            seconds_of[country, genre, part] += seconds
    for (country, genre, part), seconds in seconds_of.items():
        if not seconds:
            continue
        own = [seconds_of[country, genre, one] for one in DAYPARTS if (country, genre, one) in seconds_of]
        share = Fraction(seconds, sum(own))
        base = Fraction(everything[country, part], sum(everything[country, one] for one in DAYPARTS))
        place = 1 + sum(other > seconds for other in own)
        hours = rounded(Fraction(seconds, 3600)), rounded(Fraction(seconds, 3600) / len(DAYPARTS[part]), 2)
        shares = rounded(100 * share), rounded(100 * base), rounded(100 * share / base, 0)
        found.add((content.viewed, country, content.countries.get(country), genre, part, place, *hours, *shares))
    return found


def after_the_end(content: Content) -> Answer:
    """Hours a day before and after the end, beside the catalogue's."""
    if not content.hours:
        return set()
    found = set()
    compared = []
    for show, ended in content.ended.items():
        windows = [
            [hour for hour in content.hours if first <= (hour.date() - ended).days <= last]
            for first, last in ((-28, 0), (1, 28), (64, 91))
        ]
        days = [Fraction(len(hours), 24) for hours in windows]
        own, everything = (
            [
                per(sum(one[4] for one in content.plays if one[0] in hours and ours(one[1])), 150 * len(hours))
                for hours in map(set, windows)
            ]
            for ours in (lambda episode, show=show: content.show(episode) == show, lambda _: True)
        )
        reason = None
        if days[0] < 1:
            reason = "less than a day of hours is loaded before the end"
        elif days[1] < 1:
            reason = "less than a day of hours is loaded after the end"
        elif not own[0]:
            reason = "nobody watched it before the end"
        named = (content.titles[show], ended)
        now = content.status[show]
        status = now if now == "Ended" else f"Ended, then {now}"
        if reason is None:
            before = own[0] or Fraction(0)
            like_all = [None if one is None else before * one / (everything[0] or 1) for one in everything[1:]]
            compared.append((days, own, like_all))
            found.add((content.viewed, *named, *_changed(days, own, like_all), status, 1))
        else:
            found.add((content.viewed, *named, *_changed(days, [None] * 3, [None] * 2, reason), status, 1))
    if compared:
        days = [sum((one[0][part] for one in compared), Fraction(0)) / len(compared) for part in range(3)]
        own = [_sum(one[1][part] for one in compared) for part in range(3)]
        like_all = [_sum(one[2][part] for one in compared) for part in range(2)]
        figures = _changed(days, own, like_all)
        found.add((content.viewed, "All shows compared", None, *figures, None, len(compared)))
    return found


def multilingual(content: Content) -> Answer:
    """Multilingual viewers of each show, by country."""
    found = set()
    for country, rows in _by_country(content, "multilingual_viewers"):
        base = content.base[country]
        place = places(rows, lambda row: row["multilingual_viewers"])
        for row in rows:
            viewers = row["multilingual_viewers"]
            share = per(viewers, row["reach"]) if row["reach"] >= SHARE_FROM else None
            found.add(
                (
                    *_where(content, row),
                    place[id(row)] if viewers else None,
                    row["reach"],
                    viewers,
                    rounded(None if share is None else 100 * share),
                    percent(base["multilingual_viewers"], base["active_viewers"]),
                    percent(share, per(base["multilingual_viewers"], base["active_viewers"]), 0),
                )
            )
    return found


def must_not_cancel(content: Content) -> Answer:
    """Sole viewers of each show, by country."""
    found = set()
    for _, rows in _by_country(content, "sole_viewers"):
        place = places(rows, lambda row: row["sole_viewers"])
        for row in rows:
            large = row["reach"] if row["reach"] >= SHARE_FROM else None
            found.add(
                (
                    *_where(content, row),
                    place[id(row)] if row["sole_viewers"] else None,
                    row["reach"],
                    row["sole_viewers"],
                    percent(row["sole_viewers"], large),
                    row["near_sole_viewers"],
                    percent(row["near_sole_viewers"], large),
                    rounded(per(row["valued_seconds"], 3600)),
                    rounded(per(row["watched_seconds"], 3600)),
                    row["new_viewers"],
                    row["new_sole_viewers"],
                )
            )
    return found


def small_but_loyal(content: Content) -> Answer:
    """Shows below the median whose viewers watch much and come back."""
    rows = [row for row in content.worldwide() if row["reach"]]
    if not rows:
        return set()
    reaches = sorted(row["reach"] for row in rows)
    median = Fraction(reaches[(len(reaches) - 1) // 2] + reaches[len(reaches) // 2], 2)

    def loyal(row: Row) -> Fraction | None:
        return per(row["loyal_viewers"], row["reach"])

    measures: list[Callable[[Row], Any]] = [lambda row: row["loyalty"], lambda row: row["return_days"], loyal]
    upper = [_upper_quarter([one for one in map(measure, rows) if one is not None]) for measure in measures]
    most = max((row["return_days"] for row in rows if row["return_days"] is not None), default=0)
    found = set()
    for row in rows:
        if row["reach"] < SHARE_FROM:
            continue
        values = [measure(row) for measure in measures]
        enough = [
            value is not None and limit is not None and value >= limit
            for value, limit in zip(values, upper, strict=True)
        ]
        back = enough[1] and row["return_days"] >= 2 and (values[2] is None or (enough[2] and values[2] > 0))
        verdict = "yes" if row["reach"] < median and enough[0] and back else "no"
        figures = []
        for value, limit, factor in zip(values, upper, (100, 1, 100), strict=True):
            figures += [rounded(None if one is None else factor * Fraction(one)) for one in (value, limit)]
        found.add(
            (
                content.period,
                content.titles[row["show_id"]],
                verdict if most > 1 else None,
                row["reach"],
                rounded(median),
                *figures,
            )
        )
    return found


def binge(content: Content) -> Answer:
    """Shows by share of binge viewers."""
    rows = [row for row in _sizeable(content) if row["binge_viewers"] is not None]
    place = places(rows, lambda row: Fraction(row["binge_viewers"], row["reach"]))
    return {
        (
            content.period,
            content.titles[row["show_id"]],
            place[id(row)] if row["binge_viewers"] else None,
            row["reach"],
            row["binge_viewers"],
            percent(row["binge_viewers"], row["reach"]),
            percent(row["binge5_viewers"], row["reach"]),
        )
        for row in rows
    }


def big_in_one_country(content: Content) -> Answer:
    """The ten shows of most reach in each country, beside their places worldwide."""
    world = [row for row in content.reached() if row["country"] == WORLDWIDE]

    def of_equals(row: Row) -> tuple[int, int, tuple[int, ...]]:
        """Order by reach, of equals by hours, then by the first title in the alphabet."""
        return row["reach"], row["watched_seconds"], (*(-ord(one) for one in content.titles[row["show_id"]]), 1)

    everywhere, of_world = places(world, of_equals), {row["show_id"]: row for row in world}
    found = set()
    for country, rows in _by_country(content, "reach"):
        here = places(rows, of_equals)
        for row in rows if country != WORLDWIDE else ():
            if here[id(row)] > 10 or row["show_id"] not in of_world:
                continue
            there = of_world[row["show_id"]]
            large = row["reach"] >= SHARE_FROM
            share = per(row["reach"], content.base[country]["active_viewers"]) if large else None
            of_all = per(there["reach"], content.base[WORLDWIDE]["active_viewers"])
            found.add(
                (
                    *_where(content, row),
                    here[id(row)],
                    everywhere[id(there)],
                    everywhere[id(there)] - here[id(row)] if large else None,
                    row["reach"],
                    rounded(None if share is None else 100 * share),
                    rounded(None if of_all is None else 100 * of_all),
                    percent(share, of_all, 0),
                )
            )
    return found


def top_shows(content: Content) -> Answer:
    """Shows by hours, and all of them."""
    rows = [row for row in content.worldwide() if row["watched_seconds"] or row["reach"]]
    place = places(rows, lambda row: row["watched_seconds"])
    found: Answer = {
        (
            content.period,
            content.titles[row["show_id"]],
            place[id(row)],
            rounded(per(row["watched_seconds"], 3600)),
            rounded(row["views"]),
            row["reach"],
        )
        for row in rows
    }
    all_of = content.base[WORLDWIDE]
    hours = rounded(per(all_of["watched_seconds"], 3600))
    return found | {(content.period, "All shows", None, hours, None, all_of["active_viewers"])}


def engagement_by_show(content: Content) -> Answer:
    """Hours a viewer of each show, and of all shows."""
    rows = _sizeable(content)
    place = places(rows, lambda row: row["average_seconds"])
    everyone = content.base[WORLDWIDE]
    active = everyone["active_viewers"]
    found: Answer = {
        (
            content.period,
            content.titles[row["show_id"]],
            place[id(row)],
            rounded(per(row["average_seconds"], 3600)),
            rounded(per(row["watched_seconds"], 3600)),
            row["reach"],
            percent(row["reach"], active),
        )
        for row in rows
    }
    if active:
        hours = Fraction(everyone["watched_seconds"], 3600)
        found.add((content.period, "All shows", None, rounded(hours / active), rounded(hours), active, 100.0))
    return found


def engagement_by_genre(content: Content) -> Answer:
    """Hours of each genre for each active viewer, and of all genres."""
    full: dict[str, int] = defaultdict(int)
    parts: dict[str, Fraction] = defaultdict(Fraction)
    for row in content.audience:
        genres = content.genres_of(row["show_id"])
        for genre in genres if row["country"] == WORLDWIDE and (row["watched_seconds"] or row["reach"]) else ():
            full[genre] += row["watched_seconds"]
            parts[genre] += Fraction(row["watched_seconds"], len(genres))
    everyone = content.base[WORLDWIDE]
    found = set()
    for genre, seconds in full.items():
        place = 1 + sum(other > seconds for other in full.values())
        each = per(seconds, _hours(everyone["active_viewers"]))
        found.add(
            (
                content.period,
                genre,
                place,
                rounded(Fraction(seconds, 3600)),
                rounded(parts[genre] / 3600),
                rounded(each, 2),
                reach := content.genre_reach.get(genre),
                percent(reach, everyone["active_viewers"]),
            )
        )
    hours, active = rounded(Fraction(everyone["watched_seconds"], 3600)), everyone["active_viewers"]
    of_all = rounded(per(everyone["watched_seconds"], _hours(active)), 2), active, percent(active, active)
    return found | {(content.period, "All genres", None, hours, hours, *of_all)}


def engagement_by_network(content: Content) -> Answer:
    """Hours of each network for each active viewer, and of all networks."""
    seconds: dict[tuple[str, str], int] = defaultdict(int)
    shows: dict[tuple[str, str], int] = defaultdict(int)
    for row in content.audience:
        if row["country"] == WORLDWIDE and (row["watched_seconds"] or row["reach"]):
            carrier = content.carriers.get(row["show_id"], ("Unknown", ""))
            seconds[carrier] += row["watched_seconds"]
            shows[carrier] += row["show_id"] > 0
    everyone = content.base[WORLDWIDE]
    active = _hours(everyone["active_viewers"])
    found = {
        (
            content.period,
            *carrier,
            1 + sum(other > watched for other in seconds.values()),
            shows[carrier],
            rounded(Fraction(watched, 3600)),
            rounded(per(watched, active), 2),
        )
        for carrier, watched in seconds.items()
    }
    hours, each = rounded(Fraction(everyone["watched_seconds"], 3600)), per(everyone["watched_seconds"], active)
    return found | {(content.period, "All networks", None, None, sum(shows.values()), hours, rounded(each, 2))}


def engagement_by_country(content: Content) -> Answer:
    """Hours of an active viewer in each country, and of all viewers."""
    rows = {country: row for country, row in content.base.items() if row["active_viewers"]}
    each = {country: Fraction(row["watched_seconds"], 3600 * row["active_viewers"]) for country, row in rows.items()}
    return {
        (
            content.period,
            country,
            content.countries.get(country),
            1 + sum(each[one] > each[country] for one in rows if one != WORLDWIDE) if country != WORLDWIDE else None,
            rounded(each[country], 2),
            rounded(Fraction(row["watched_seconds"], 3600)),
            row["active_viewers"],
            percent(row["multilingual_viewers"], row["active_viewers"]),
            percent(row["new_viewers"], row["active_viewers"]),
        )
        for country, row in rows.items()
    }


def catalogue(content: Content) -> Answer:
    """Shows by hours, with the country of most reach, the first in the alphabet of equals. No show has a premiere."""
    rows = [row for row in content.worldwide() if row["watched_seconds"] or row["reach"]]
    place = places(rows, lambda row: row["watched_seconds"])
    found: Answer = set()
    for row in rows:
        show = row["show_id"]
        here = [one for one in content.reached() if one["show_id"] == show and one["country"] != WORLDWIDE]
        top = min(here, key=lambda one: (-one["reach"], one["country"]), default=None)
        where = (top["country"], content.countries.get(top["country"]), top["reach"]) if top else (None, None, None)
        viewers = (row[name] for name in ("reach", "sole_viewers", "near_sole_viewers", "loyal_viewers"))
        hours = rounded(per(row["watched_seconds"], 3600))
        start = (content.period, content.titles[show], place[id(row)], hours)
        found.add((*start, *viewers, *where, content.status.get(show), None))
    return found


ORACLES: Mapping[str, Callable[[Content], Answer]] = {
    "genre-hours": genre_hours,
    "genre-daypart": genre_daypart,
    "after-the-end": after_the_end,
    "multilingual": multilingual,
    "small-but-loyal": small_but_loyal,
    "binge": binge,
    "must-not-cancel": must_not_cancel,
    "big-in-one-country": big_in_one_country,
    "top-shows": top_shows,
    "engagement-by-show": engagement_by_show,
    "engagement-by-genre": engagement_by_genre,
    "engagement-by-network": engagement_by_network,
    "engagement-by-country": engagement_by_country,
    "catalogue": catalogue,
}
"""The oracle of each question, by its name: the rows of its view, with the columns in the view's order."""


def _changed(
    days: Sequence[Fraction],
    own: Sequence[Fraction | None],
    like_all: Sequence[Fraction | None],
    reason: str | None = None,
) -> tuple[Any, ...]:
    """Return percent, days and hours a day, after the end and then later, in the order of the columns."""
    after = percent(own[1], like_all[0]), *map(rounded, (days[0], days[1], own[0], own[1])), reason
    return *after, percent(own[2], like_all[1]), rounded(days[2]), rounded(own[2])


def hours_between(first: datetime, days: int) -> list[datetime]:
    """Return all hours of some days."""
    return [first + timedelta(hours=hour) for hour in range(24 * days)]


def _where(content: Content, row: Row) -> tuple[str, str, str | None, str]:
    country = row["country"]
    return content.period, country, content.countries.get(country), content.titles[row["show_id"]]


def _sizeable(content: Content) -> list[Row]:
    return [row for row in content.worldwide() if row["reach"] and row["reach"] >= SHARE_FROM]


def _by_country(content: Content, column: str) -> list[tuple[str, list[Row]]]:
    rows = sorted(content.reached(), key=lambda row: str(row["country"]))
    groups = groupby(rows, key=lambda row: str(row["country"]))
    return [(country, [row for row in group if row[column] is not None]) for country, group in groups]


def _upper_quarter(values: list[Any]) -> Any:
    """Return the value where the upper quarter begins: the least with three quarters of the values up to it."""
    ordered = sorted(values)
    return next((value for place, value in enumerate(ordered, start=1) if 4 * place >= 3 * len(ordered)), None)


def _sum(values: Iterable[Fraction | None]) -> Fraction | None:
    known = [value for value in values if value is not None]
    return sum(known, Fraction(0)) if known else None


def _hours(viewers: int | None) -> int | None:
    return 3600 * viewers if viewers else None

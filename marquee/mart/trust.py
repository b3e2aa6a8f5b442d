"""How far an answer can be trusted: the line under it, and the same as fields for programs.

It says how many hours of the period are loaded, the share of hours of unknown shows and where they were watched, how
many rows are withheld and how figures are rounded, how new the data are, and by which definitions they were made. All
of it is in the mart.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from marquee.calendar import HOUR, Period
from marquee.lake.coverage import Coverage
from marquee.lake.datasets import UNKNOWN_SHOW, WORLDWIDE
from marquee.mart import schema
from marquee.mart.base import Mart
from marquee.mart.fold import OTHER_COUNTRY
from marquee.mart.ledger import LEDGER, Entry, ledger_of, restated_days
from marquee.mart.narrowed import bounds_of, is_of_audience, narrow, read_by
from marquee.mart.questions import Question
from marquee.mart.viewing import sums_between
from marquee.mart.withheld import count_withheld

UNKNOWN_PERCENT = 1.0
"""Share of hours of unknown shows, in percent, above which the line says where they were watched."""
PLACES = 3
"""Number of countries that it names."""

_SECONDS = """
select s.country, sum(s.watched_seconds) as watched, sum(s.unknown_seconds) as unknown
from ({source}) s where {country} group by s.country
"""
_OF_AUDIENCE = f"""
select b.country, coalesce(b.watched_seconds, 0) as watched_seconds, coalesce(a.watched_seconds, 0) as unknown_seconds
from fact_audience_base b
left join fact_audience a on a.period = b.period and a.country = b.country and a.show_id = {UNKNOWN_SHOW}
where b.period = ?
"""  # noqa: S608 - our own names
_OF_PLAYS = f"""
select f.country, f.watched_seconds, case when f.show_id = {UNKNOWN_SHOW} then f.watched_seconds else 0 end
    as unknown_seconds
from ({{plays}}) f
"""  # noqa: S608
_OF_PERIOD = "from load_ledger where dataset = ? and starts_at >= ? and ends_at <= ?"
_SET_PERIOD = "reported_set_period"
_CAPTURED = "select min(period), max(period), count(*) from load_ledger where dataset = 'episodes'"


@dataclass(frozen=True)
class Trust:
    """What a mart knows of an answer's data.

    Attributes:
        periods: the periods of the answer, in chronological order: one, or several for a trend; none if nothing is
            loaded.
        hours: hours that are loaded; None for an audience loaded by an earlier version.
        hours_expected: hours of the periods; None as ``hours``.
        incomplete: the periods that lack hours.
        watched_seconds: seconds of play in the answer's countries.
        unknown_seconds: of these, of episodes in no captured schedule.
        unknown_in: countries with the most unknown seconds, each with their share of the country in percent.
        captured: air dates that the captured schedule covers, such as ``2025-12-08 to 2026-01-11``; empty if none.
        withheld: rows of the answer whose viewers are too few to be published.
        min_cell: the least number of viewers that is published, to whose multiples the answer's viewers and hours are
            rounded; 1 if they are exact.
        floor: the least number of viewers of a show, day, country and daypart of the answer's plays; those of fewer are
            combined. 1 if all are apart, and for an audience.
        restated: days of the answer's plays that the lake has published before, whose plays and hours are rounded, too.
        newest_hour: the last hour of the periods whose viewership is loaded; None without any.
        loaded_at: time of the last load of the answer's data, in UTC.
        definitions: versions of definitions, such as ``audience 2`` and ``mart 4`` (the schema with the views).
    """

    periods: tuple[str, ...] = ()
    hours: int | None = None
    hours_expected: int | None = None
    incomplete: tuple[str, ...] = ()
    watched_seconds: int = 0
    unknown_seconds: int = 0
    unknown_in: tuple[tuple[str, float], ...] = ()
    captured: str = ""
    withheld: int = 0
    min_cell: int = 1
    floor: int = 1
    restated: int = 0
    newest_hour: str | None = None
    loaded_at: datetime | None = None
    definitions: tuple[str, ...] = ()

    @property
    def coverage(self) -> Coverage | None:
        """The hours loaded and expected; None if they are not known."""
        if self.hours is None or self.hours_expected is None:
            return None
        return Coverage(self.hours, self.hours_expected)

    @property
    def missing(self) -> str:
        """A note such as ``22 of 24 hours of 2026-01-05 are loaded``; empty if the periods are complete or unknown."""
        return f"{self._hours} are loaded" if self.coverage and not self.coverage.complete else ""

    @property
    def unknown_percent(self) -> float:
        """Share of hours of unknown shows, in percent."""
        return 100 * self.unknown_seconds / self.watched_seconds if self.watched_seconds else 0.0

    @property
    def doubtful(self) -> bool:
        """Whether hours are missing, or more hours than ``UNKNOWN_PERCENT`` are of unknown shows."""
        return bool(self.missing) or self.unknown_percent > UNKNOWN_PERCENT

    @property
    def rounding(self) -> str:
        """How the answer's figures are rounded; empty if they are exact."""
        return rounding_text(self.min_cell)

    def text(self) -> str:
        """Return the line under an answer."""
        if not self.periods:
            return "Nothing of this is loaded"
        parts = [self._hours, self._unknown]
        if self.withheld:
            parts.append(f"{self.withheld:,} {'row' if self.withheld == 1 else 'rows'} withheld (too few viewers)")
        if self.rounding:
            parts.append(self.rounding)
        if self.floor > 1:
            parts.append(f"viewing of fewer than {self.floor} viewers counts for other dayparts, countries or shows")
        if self.restated:
            days, their = ("day", "its") if self.restated == 1 else ("days", "their")
            parts.append(f"{self.restated:,} {days} restated, {their} hours are rounded")
        if self.newest_hour:
            parts.append(f"newest hour {self.newest_hour}")
        if self.loaded_at:
            parts.append(f"loaded {self.loaded_at:%Y-%m-%d %H:%M} UTC")
        if self.definitions:
            parts.append(f"definitions: {', '.join(self.definitions)}")
        return " · ".join(part for part in parts if part)

    def fields(self) -> dict[str, Any]:
        """Return the same for programs: names and values that JSON knows."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            **found,
            "periods": list(self.periods),
            "incomplete": list(self.incomplete),
            "unknown_percent": round(self.unknown_percent, 2),
            "unknown_in": dict(self.unknown_in),
            "loaded_at": self.loaded_at.isoformat() if self.loaded_at else None,
            "definitions": dict(one.rsplit(" ", 1) for one in self.definitions),
        }

    @property
    def _hours(self) -> str:
        which = self.periods[0] if len(self.periods) == 1 else f"{self.periods[0]} to {self.periods[-1]}"
        if not self.coverage:
            return which
        lacking = f" (incomplete: {', '.join(self.incomplete)})" if self.incomplete and len(self.periods) > 1 else ""
        return f"{self.coverage} of {which}{lacking}"

    @property
    def _unknown(self) -> str:
        if not self.watched_seconds:
            return ""
        share = self.unknown_percent
        shown = f"{share:.1f} %" if share >= 0.05 or not self.unknown_seconds else "under 0.1 %"  # noqa: PLR2004
        text = f"{shown} of hours are of unknown shows"
        if share <= UNKNOWN_PERCENT:
            return text
        names = {OTHER_COUNTRY: "other countries"}
        where = ", ".join(f"{names.get(country, country)} {percent:.1f} %" for country, percent in self.unknown_in)
        captured = f"the schedule has air dates {self.captured}" if self.captured else "no schedule is captured"
        return f"{text} ({f'{where}; ' if where else ''}{captured})"


def rounding_text(min_cell: int) -> str:
    """Return how figures of viewers are published; empty if they are exact."""
    if min_cell == 1:
        return ""
    return (
        f"viewers and hours are rounded to the nearest {min_cell}; hours of fewer than {2 * min_cell} viewers are not "
        "shown"
    )


def trust_of(mart: Mart, question: Question, period: str | None = None, only: Mapping[str, str] | None = None) -> Trust:
    """Return what the mart knows of the data of an answer.

    Args:
        mart: the mart.
        question: the question.
        period: the period or span ``first/last`` asked for; the view's own choice when None.
        only: the values to which the answer is limited. ``country`` and ``title`` limit the figures, too.
    """
    audience = is_of_audience(question.view)
    chosen = _set_period(mart, question.view, period) or period or _own_period(mart, audience=audience)
    if chosen is None:
        return Trust()
    country = (only or {}).get("country", WORLDWIDE)
    loaded = list(ledger_of(mart.query(f"select * {_OF_PERIOD}", ["viewership", *bounds_of(chosen)])).values())
    counted = _audience_entry(mart, chosen) if audience else loaded
    covered = _coverage(chosen, counted, audience=audience)
    seconds = _seconds(mart, chosen, country, audience=audience)
    watched, unknown = _total(seconds, country)
    known = Trust(
        periods=(chosen,),
        hours=covered.hours if covered else None,
        hours_expected=covered.expected if covered else None,
        incomplete=(chosen,) if covered and not covered.complete else (),
        watched_seconds=watched,
        unknown_seconds=unknown,
        newest_hour=max((one.period for one in loaded), default=None),
        loaded_at=max((one.loaded_at for one in counted if one.loaded_at), default=None),
        definitions=_definitions("audience" if audience else "rollup", counted),
        withheld=count_withheld(mart, question.view, chosen, only or {}) if audience else 0,
        min_cell=_min_cell(mart) if audience else 1,
        floor=1 if audience else _min_cell(mart),
        restated=len(restated_days(loaded)) if not audience and _has_whole_days(mart) else 0,
    )
    if known.unknown_percent <= UNKNOWN_PERCENT:
        return known
    return replace(known, unknown_in=_worst(seconds) if country == WORLDWIDE else (), captured=_captured(mart))


def trust_of_all(several: Sequence[Trust]) -> Trust:
    """Return the trust of a trend, from that of each of its periods in chronological order."""
    hours = [one.coverage for one in several if one.coverage]
    whole = len(hours) == len(several) and several
    worst = max(several, key=lambda one: one.unknown_percent, default=Trust())
    return Trust(
        periods=tuple(period for one in several for period in one.periods),
        hours=sum(one.hours for one in hours) if whole else None,
        hours_expected=sum(one.expected for one in hours) if whole else None,
        incomplete=tuple(period for one in several for period in one.incomplete),
        watched_seconds=sum(one.watched_seconds for one in several),
        unknown_seconds=sum(one.unknown_seconds for one in several),
        unknown_in=worst.unknown_in,
        captured=worst.captured,
        withheld=sum(one.withheld for one in several),
        min_cell=max((one.min_cell for one in several), default=1),
        floor=max((one.floor for one in several), default=1),
        restated=sum(one.restated for one in several),
        newest_hour=max((one.newest_hour for one in several if one.newest_hour), default=None),
        loaded_at=max((one.loaded_at for one in several if one.loaded_at), default=None),
        definitions=tuple(dict.fromkeys(name for one in several for name in one.definitions)),
    )


def _set_period(mart: Mart, view: str, period: str | None) -> str | None:
    """Return the period of figures of sets, which is longer than a day asked for; None for other views."""
    if _SET_PERIOD not in read_by(view):
        return None
    narrowed = narrow(_SET_PERIOD, period) if period else None
    sql = f"{narrowed.expressions if narrowed else ''}select period from {_SET_PERIOD}"  # noqa: S608 - our own names
    _, found = mart.query(sql, narrowed.parameters if narrowed else ())
    return found[0][0] if found else None


def _own_period(mart: Mart, *, audience: bool) -> str | None:
    """Return the period that a view chooses itself; None if nothing is loaded."""
    source = "reported_period" if audience else "viewed_period where exists (select 1 from loaded_hour)"
    _, found = mart.query(f"select period from {source}")  # noqa: S608 - our own names
    return found[0][0] if found else None


def _audience_entry(mart: Mart, period: str) -> list[Entry]:
    query = f"{LEDGER} where dataset = 'audience_base' and period = ?"
    return list(ledger_of(mart.query(query, [period])).values())


def _coverage(period: str, entries: Sequence[Entry], *, audience: bool) -> Coverage | None:
    if audience:
        return next((one.coverage for one in entries), None)
    start, end = bounds_of(period)
    return Coverage(len(entries), (end - start) // HOUR)


def _definitions(stage: str, entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return each version of the stage's definitions, and the version of the views."""
    versions = sorted({one.definition_version for one in entries if one.definition_version})
    return (*(f"{stage} {version}" for version in versions), f"mart {schema.VERSION}")


def _seconds(mart: Mart, period: str, country: str, *, audience: bool) -> dict[str, tuple[int, int]]:
    """Return seconds of play and those of unknown shows by country, or of one country; plays have no row worldwide."""
    source: str
    values: Sequence[str | datetime]
    if audience:
        source, values = _OF_AUDIENCE, [period]
    else:
        plays, values = sums_between(*bounds_of(period))
        source = _OF_PLAYS.format(plays=plays)
    one = country != WORLDWIDE
    sql = _SECONDS.format(source=source, country="s.country = ?" if one else "1 = 1")
    _, rows = mart.query(sql, [*values, *([country] if one else [])])
    return {name: (int(watched), int(unknown)) for name, watched, unknown in rows}


def _total(seconds: Mapping[str, tuple[int, int]], country: str) -> tuple[int, int]:
    """Return the seconds of a country; worldwide those of all countries, if they have no row of their own."""
    if country in seconds:
        return seconds[country]
    return sum(watched for watched, _ in seconds.values()), sum(unknown for _, unknown in seconds.values())


def _min_cell(mart: Mart) -> int:
    _, ((found,),) = mart.query("select min_cell from kiosk")
    return int(found)


def _has_whole_days(mart: Mart) -> bool:
    return bool(mart.query("select 1 from kiosk where detail = 'day' and min_cell > 1")[1])


def _worst(seconds: Mapping[str, tuple[int, int]]) -> tuple[tuple[str, float], ...]:
    # A country whose seconds are withheld counts as 0, though those of its unknown shows may be published.
    listed = [(country, *both) for country, both in seconds.items() if country != WORLDWIDE and all(both)]
    listed.sort(key=lambda one: (-one[2], one[0]))
    return tuple((country, round(100 * unknown / watched, 1)) for country, watched, unknown in listed[:PLACES])


def _captured(mart: Mart) -> str:
    _, ((first, last, days),) = mart.query(_CAPTURED)
    if not first:
        return ""
    span = (Period.parse(last).end - Period.parse(first).start).days
    lacking = span - int(days)
    gaps = f", without {lacking:,} of these {span:,} days" if lacking else ""
    return f"{first} to {last}{gaps}"

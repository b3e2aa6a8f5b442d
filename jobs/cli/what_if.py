"""``marquee what-if``: what is lost when a set of shows goes, and the order in which to remove or to keep shows.

It answers from the lake, and counts the set as a whole: who watches two of its shows and nothing else is lost, although
no single show loses them.
"""

import argparse
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs.cli.shows_named import find_shows, labels_of
from marquee.calendar import Period
from marquee.errors import ConfigError
from marquee.lake import keys
from marquee.lake.coverage import coverage_of
from marquee.lake.datasets import AUDIENCE, AUDIENCE_BASE, SHOW_ORDER, SHOW_VIEWER, WORLDWIDE
from marquee.lake.layers import VIEWER_DAYS
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers
from marquee.mart.questions import CREDIT
from marquee.mart.settings import PublishSettings
from marquee.mart.trust import rounding_text
from marquee.report.console import say
from marquee.report.tables import print_answer, print_rows
from marquee.runs.command import progress_bar
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names

if TYPE_CHECKING:
    from jobs.profile.what_if import Loss

log = logging.getLogger(__name__)

NAMES_SHOWN = 5
"""Maximum number of shows that a title names."""
STEPS_SHOWN = 20
"""Number of steps of an order in a table."""
RECKONING = (
    "Left with nothing: viewers with at least {reach_seconds} seconds of the set who watched nothing else, in any "
    "country. Lose nearly all: at least {near_sole_percent:g} % of their time was the set's; hours at risk are all "
    "hours of these viewers. One by one: the sum of what each show would lose alone; the set effect is the rest. This "
    "sum and the hours of the set are sums of the shows' own figures."
)
ORDER_RECKONING = {
    "remove": "Each step removes the show whose removal leaves the fewest further viewers with nothing; of equals the "
    "one with the fewest hours. Beside it: what the same number of shows loses in the order of the fewest hours, the "
    "least reach, and the fewest sole viewers. Counted over all viewers; shows of few viewers are in no order.",
    "keep": "Each step keeps the show that adds the most people, each counted once; of equals the one with the most "
    "hours. Beside it: whom the same number of shows reaches in the order of the most reach, and of the most hours. "
    "Counted over all viewers.",
}


@dataclass(frozen=True)
class _Answer:
    """An answer: its rows, and for a person its title, the first row in a sentence, and how it is computed."""

    title: str
    columns: list[str]
    rows: list[list[Any]]
    reckoning: str
    summary: str = ""


def run(given: argparse.Namespace) -> int:
    """Print what is lost with a set of shows, or an order of shows."""
    if given.order and given.country is not None:
        given.parser.error("--country goes with --remove: an order is worldwide")
    if given.remove and given.limit is not None:
        given.parser.error("--limit goes with --order")
    check_names()
    settings = load_settings(PublishSettings)
    markers = Markers(settings.store)
    labels = labels_of(markers)
    shows = find_shows(given.remove, labels)
    marker = _audience_of(markers, given.period)
    if given.order is None:
        _check_ended(markers, marker)
        answer = _answer_set(settings, marker, shows, given.country)
    else:
        limit = STEPS_SHOWN if given.limit is None and given.format == "table" else given.limit
        answer = _answer_order(settings, marker, given.order, labels, limit or 0)
    if given.format != "table":
        print_rows(answer.columns, answer.rows, given.format)
        return 0
    print_answer(answer.title, answer.columns, answer.rows)
    if answer.summary:
        say(f"\n{answer.summary}", "bold")
    covered = coverage_of(marker)
    if covered and not covered.complete:
        say(f"\n{covered} of {marker.period} are counted", "bold")
    rounding = rounding_text(_unit_of(shows, settings))
    say(f"\n{answer.reckoning}{f' {rounding.capitalize()}.' if rounding else ''}\n{CREDIT}", "dim")
    return 0


def _unit_of(shows: Collection[int], settings: PublishSettings) -> int:
    """Return the unit to which the figures of a set, or of the steps of an order, are rounded."""
    from marquee.mart.protect import unit_of_set  # noqa: PLC0415 - `--help` needs no pyarrow

    return unit_of_set(len(shows), settings.mart.min_cell)


def _check_ended(markers: Markers, marker: Marker) -> None:
    """Refuse a period whose viewers retention has ended."""
    at = markers.ended(keys.AUDIENCE).end_of(VIEWER_DAYS.name, marker)
    if at is not None:
        message = (
            f"Retention ended {SHOW_VIEWER.name} of {marker.period} on {at:%Y-%m-%d}, which --remove reads. Use a "
            "later period; --order still answers for this one"
        )
        raise ConfigError(message)


def _answer_set(settings: PublishSettings, marker: Marker, shows: Mapping[int, str], country: str | None) -> _Answer:
    losses = _lose(settings, marker, shows, country)
    rows = [_row(marker.period, loss) for loss in losses]
    title = f"What if {_listed(list(shows.values()))} {'go' if len(shows) > 1 else 'goes'}?"
    listed = [list(row.values()) for row in rows]
    return _Answer(title, list(rows[0]), listed, _reckoning(marker), _summary(losses[0], marker))


def _lose(settings: PublishSettings, marker: Marker, shows: Collection[int], country: str | None) -> "list[Loss]":
    """Return what is lost worldwide and in each country, or only in one."""
    from jobs.profile.what_if import what_if  # noqa: PLC0415 - `--help` needs no pyarrow
    from marquee.engine.starting import start_engine  # noqa: PLC0415

    with progress_bar("what-if") as show:
        lake, engine = settings.address(settings.lake), start_engine(settings.engine)
        losses = what_if(lake, engine, marker, shows, settings.mart.min_cell, lambda done, every: show(done, every, ""))
    chosen = [loss for loss in losses if country is None or loss.country == country.upper()]
    if not chosen:
        there = ", ".join(loss.country for loss in losses)
        message = f"Nobody in {country!r} watched any of these shows in {marker.period}. Use one of: {there}"
        raise ConfigError(message)
    return chosen


def _listed(names: Sequence[str]) -> str:
    if len(names) > NAMES_SHOWN:
        return f"{names[0]} and {len(names) - 1} other shows"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _summary(loss: "Loss", marker: Marker) -> str:
    """Return the first row in a sentence."""
    where = "Worldwide" if loss.country == WORLDWIDE else f"In {loss.country}"
    if loss.watched_seconds == 0:
        return f"{where}, nobody watched them in {marker.period}."
    if loss.watched_seconds is None and not loss.reach:
        return f"{where}, too few viewers watched them to tell how many, or nobody did, in {marker.period}."
    share = f" ({one:g} % of all)" if (one := _percent(loss.left_with_nothing, loss.active_viewers)) else ""
    viewers = "1 viewer" if loss.left_with_nothing == 1 else f"{loss.left_with_nothing:,} viewers"
    return (
        f"{where}, the set leaves {viewers}{share} with nothing; one by one, its shows lose {loss.one_by_one:,}. "
        f"Nearly all is lost to {loss.lose_nearly_all:,}."
    )


def _row(period: str, loss: "Loss") -> dict[str, Any]:
    return {
        "period": period,
        "country": loss.country,
        "left_with_nothing": loss.left_with_nothing,
        "left_percent": _percent(loss.left_with_nothing, loss.active_viewers),
        "one_by_one": loss.one_by_one,
        "set_effect": max(0, loss.left_with_nothing - loss.one_by_one),
        "lose_nearly_all": loss.lose_nearly_all,
        "hours_at_risk": _hours(loss.at_risk_seconds),
        "reach": loss.reach,
        "hours": _hours(loss.watched_seconds),
        "hours_percent": _percent(loss.watched_seconds, loss.all_seconds),
        "nearly_one_by_one": loss.nearly_one_by_one,
        "nearly_set_effect": max(0, loss.lose_nearly_all - loss.nearly_one_by_one),
    }


def _answer_order(
    settings: PublishSettings, marker: Marker, way: str, labels: Mapping[int, str], limit: int
) -> _Answer:
    from jobs.profile.what_if import read_published  # noqa: PLC0415 - as above

    datasets = (AUDIENCE, AUDIENCE_BASE, SHOW_ORDER)
    published = read_published(settings.store, marker, datasets, settings.mart.min_cell)
    (base,) = (row for row in published[AUDIENCE_BASE.name].to_pylist() if row["country"] == WORLDWIDE)
    steps: dict[str, dict[int, dict[str, Any]]] = {}
    for row in published[SHOW_ORDER.name].to_pylist():
        steps.setdefault(row["strategy"], {})[row["step"]] = row
    others = sorted(one for one in steps if one.startswith(f"{way}_by_"))
    viewers = {"remove": "left_with_nothing", "keep": "reached"}[way]
    columns = ["period", "step", "title", viewers, f"{viewers}_percent", "hours_percent"]
    columns += [one.removeprefix(f"{way}_") for one in others]
    rows = [
        [
            marker.period,
            step,
            labels.get(row["show_id"], f"#{row['show_id']}"),
            row["viewers"],
            _percent(row["viewers"], base["active_viewers"]),
            _percent(row["watched_seconds"], base["watched_seconds"]),
            *(steps[one].get(step, {}).get("viewers") for one in others),
        ]
        for step, row in sorted(steps.get(way, {}).items())
    ]
    shown = rows[: limit or len(rows)]
    cut = f"{len(shown)} of {len(rows)} steps (--limit 0 shows all). " if len(shown) < len(rows) else ""
    return _Answer(f"Which shows to {way}, step by step", columns, shown, cut + ORDER_RECKONING[way])


def _hours(seconds: int | None) -> float | None:
    return None if seconds is None else round(seconds / 3600 + 1e-6, 1)


def _percent(part: int | None, whole: int | None) -> float | None:
    return round(100 * part / whole + 1e-6, 1) if part is not None and whole else None


def _reckoning(marker: Marker) -> str:
    from jobs.profile.what_if import options_of  # noqa: PLC0415 - as above

    options = options_of(marker)
    return RECKONING.format(**options.model_dump(), near_sole_percent=float(100 * options.near_sole_share))


def _audience_of(markers: Markers, period: str | None) -> Marker:
    """Return the audience of a period; by default of the one that covers the most hours, as the mart reports it."""
    found = {
        one: marker
        for one, marker in markers.of(keys.AUDIENCE).items()
        if marker.of(SHOW_VIEWER) or marker.of(SHOW_ORDER)
    }
    if not found:
        message = "The lake has no audience of a week, month or quarter with sets of shows. Run `marquee profile`"
        raise ConfigError(message)
    if period is None:
        # Of equals the shortest, then the last, as the view reported_period of the mart.
        return found[max(found, key=lambda one: (_hours_of(found[one]), -one.hours, one.start))]
    try:
        return found[Period.parse(period)]
    except (ValueError, KeyError) as error:
        names = ", ".join(str(one) for one in sorted(found, key=lambda one: (one.end, one.start)))
        message = f"The lake has no sets of shows of {period!r}. Use one of: {names}"
        raise ConfigError(message) from error


def _hours_of(marker: Marker) -> int:
    covered = coverage_of(marker)
    return covered.hours if covered else 0

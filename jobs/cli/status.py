"""``marquee status``: a table of the stages, then the periods that are not done, and why, and notes on others.

Or all periods, or a page.
"""

import argparse
import dataclasses
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from jobs.cli.pipeline import read_status
from jobs.registry import MART_LOAD
from marquee.errors import ConfigError
from marquee.mart.settings import MartSettings
from marquee.report.console import say
from marquee.report.files import write_file
from marquee.report.formats import Format, objects_text, time_text
from marquee.report.tables import print_rows
from marquee.runs.arguments import mart_given
from marquee.runs.stage import State
from marquee.runs.status import PeriodStatus, fold, not_done, noted, partial, summarise
from marquee.settings.loading import load_settings, masked
from marquee.settings.names import check_names
from marquee.settings.sections import StageSettings

log = logging.getLogger(__name__)

SHOWN = 20
"""Maximum number of lines for periods that are not done; a line holds consecutive periods with the same reason."""
INDENT = "  "


def run(given: argparse.Namespace) -> int:
    """Print the state of the periods, or write it as an HTML page."""
    check_names()
    mart = mart_given(given)
    status, now = read_status(given.span, mart), datetime.now(UTC)
    listed = status.periods
    places = places_of(mart)
    if status.objects:
        places["raw objects"] = objects_text(status.objects)
    if status.ended:
        places["ended"] = "; ".join(status.ended)
    if given.html is not None:
        from marquee.report.pages import status_page  # noqa: PLC0415 - one of three forms

        write_file(given.html, status_page(listed, now, places, status.remarks).encode())
        say(f"Wrote {given.html}")
    elif given.format == "table" and not given.all:
        print_summary(listed, now, places)
    else:
        columns = [field.name for field in dataclasses.fields(PeriodStatus)]
        rows = [[_cell(getattr(one, name), given.format) for name in columns] for one in listed]
        print_rows(columns, rows, given.format, "Periods")
    for remark in status.remarks:
        log.warning("%s", remark)
    return 0


def _cell(value: object, form: Format) -> object:
    """Return a value of a row; numbers by class become text, except in JSON."""
    return value if form == "json" or not isinstance(value, Mapping) else objects_text(value)


def places_of(mart: Mapping[str, object]) -> dict[str, str]:
    """Return the lake, mart and environment of the states, by their kind; ``mart`` as from ``mart_given``."""
    places: dict[str, str] = {}
    try:
        common = load_settings(StageSettings)
        places |= {"lake": masked(common.lake), "environment": common.environment}
        its: MartSettings = load_settings(MART_LOAD.settings, **mart).mart  # type: ignore[attr-defined]
        places["mart"] = f"{masked(its.url)} ({its.protection})"
    except ConfigError:  # already reported where the setting was needed
        pass
    return places


def print_summary(listed: Sequence[PeriodStatus], now: datetime, places: Mapping[str, str]) -> None:
    """Print a table of the stages, then the periods that are not done."""
    for what, where in places.items():
        say(f"{what}: {where}", "dim")
    summaries = summarise(listed)
    states = [state for state in State if state is State.DONE or any(one.periods[state] for one in summaries)]
    rows = [
        [
            one.label,
            *(one.periods[state] for state in states),
            one.newest,
            time_text(one.age(now)),
            one.rows,
            one.rejects,
            time_text(None if one.made_at is None else now - one.made_at),
        ]
        for one in summaries
    ]
    print_rows(["stage", *states, "newest", "data age", "rows", "rejects", "last run"], rows, "table", "Stages")
    lines = f"{SHOWN} lines"
    left, notes = not_done(listed), noted(listed)
    _print_section(
        "Not done",
        len(left),
        [(f"{one.first.state}: {one.first.label} {one.periods}", one.first.reason) for one in fold(left)],
        lines,
    )
    _print_section(
        "Published, with a note",
        len(notes),
        [(f"{one.first.label} {one.periods}", one.first.note) for one in fold(notes)],
        lines,
    )
    parts = [(f"{period}: {covered} ({labels})", "") for period, covered, labels in partial(listed)]
    _print_section("Partial", len(parts), parts, str(SHOWN))


def _print_section(title: str, periods: int, entries: Sequence[tuple[str, str]], first: str) -> None:
    """Print the first entries, each a line and what explains it; nothing without entries."""
    if not entries:
        return
    more = f"; the first {first}, --all lists every period" if len(entries) > SHOWN else ""
    say(f"\n{title}: {periods:,} periods{more}", "bold")
    for line, why in entries[:SHOWN]:
        say(line)
        if why:
            say(f"{INDENT}{why}", "dim")

"""``marquee status``: a table of the stages, then the periods that are not done and why; or all periods, or a page."""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from jobs.cli.options import mart_given
from jobs.cli.pipeline import read_status
from jobs.registry import MART_LOAD
from marquee.errors import ConfigError
from marquee.report.console import say
from marquee.report.formats import time_text
from marquee.report.tables import print_rows
from marquee.runs.stage import State
from marquee.runs.status import PeriodStatus, fold, not_done, summarise
from marquee.settings.loading import load_settings, masked
from marquee.settings.names import check_names
from marquee.settings.sections import StageSettings

SHOWN = 20
"""Maximum number of lines for periods that are not done; a line holds consecutive periods with the same reason."""
INDENT = "  "


def run(given: argparse.Namespace) -> int:
    """Print the state of the periods, or write it as an HTML page."""
    check_names()
    mart = mart_given(given)
    listed, now = read_status(given.span, mart), datetime.now(UTC)
    if given.html is not None:
        from marquee.report.pages import status_page  # noqa: PLC0415 - one of three forms

        _write(given.html, status_page(listed, now, places_of(mart)))
    elif given.format == "table" and not given.all:
        print_summary(listed, now, places_of(mart))
    else:
        columns = [field.name for field in dataclasses.fields(PeriodStatus)]
        print_rows(columns, [[getattr(one, name) for name in columns] for one in listed], given.format, "Periods")
    return 0


def places_of(mart: Mapping[str, object]) -> dict[str, str]:
    """Return the lake, mart and environment of the states, by their kind; ``mart`` as from ``mart_given``."""
    places: dict[str, str] = {}
    try:
        common = load_settings(StageSettings)
        places |= {"lake": masked(common.lake), "environment": common.environment}
        places["mart"] = masked(load_settings(MART_LOAD.settings, **mart).mart.url)  # type: ignore[attr-defined]
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
    _print_not_done(not_done(listed))


def _print_not_done(left: Sequence[PeriodStatus]) -> None:
    ranges = fold(left)
    if not ranges:
        return
    more = f"; the first {SHOWN} lines, --all lists every period" if len(ranges) > SHOWN else ""
    say(f"\nNot done: {len(left):,} periods{more}", "bold")
    for one in ranges[:SHOWN]:
        say(f"{one.first.state}: {one.first.label} {one.periods}")
        if one.first.reason:
            say(f"{INDENT}{one.first.reason}", "dim")


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"{file} cannot be written: {error.strerror}. Name a file in an existing, writable folder"
        raise ConfigError(message) from error
    say(f"Wrote {file}")

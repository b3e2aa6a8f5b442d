"""``marquee erase status``: how far each request is: when asked, what was made again, what is left."""

import argparse
from collections.abc import Mapping
from datetime import timedelta

from marquee.lake.erasure_progress import Progress, read_progress
from marquee.lake.markers import Markers
from marquee.report.console import say
from marquee.report.tables import print_rows
from marquee.settings.loading import load_settings
from marquee.settings.sections import StageSettings

COLUMNS = [
    "request",
    "requested_at",
    "complete_by",
    "viewers",
    "state",
    "due",
    "made_again",
    "objects",
    "to_collect",
    "completed_at",
]


def show(given: argparse.Namespace) -> int:
    """Print a row for each request."""
    settings = load_settings(StageSettings)
    found = read_progress(Markers(settings.store))
    if not found and given.format == "table":
        say("There are no requests to erase viewers.")
        return 0
    days = timedelta(days=settings.erasure.days)
    print_rows(COLUMNS, [_row(one, days, as_json=given.format == "json") for one in found], given.format, "Erasures")
    return 0


def _row(one: Progress, days: timedelta, *, as_json: bool) -> list[object]:
    return [
        one.request_id,
        one.requested_at,
        one.requested_at + days,
        one.viewers,
        one.state,
        dict(one.due) if as_json else _in_words(one.due),
        dict(one.made_again) if as_json else _in_words(one.made_again),
        one.objects,
        one.replaced_objects,
        one.completed_at,
    ]


def _in_words(periods: Mapping[str, int]) -> str:
    return ", ".join(f"{stage} {number}" for stage, number in periods.items())

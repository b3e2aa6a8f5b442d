"""Runs mart_load. A load without work does not open the mart, because its libraries are slow to load."""

from jobs.mart_load.report import MartReport, missing
from jobs.mart_load.settings import MartLoadSettings
from marquee.calendar import Span
from marquee.lake.markers import Markers
from marquee.mart.ledger import make_plan
from marquee.mart.status import items_of_unchanged, note_unchanged
from marquee.runs.stage import Advance


def run(settings: MartLoadSettings, markers: Markers, span: Span, *, force: bool, advance: Advance) -> MartReport:
    """Load the new and changed periods of a span; with ``force`` all its periods."""
    items = None if force else items_of_unchanged(settings.mart, markers)
    if items is not None:
        plan = make_plan(items, span, force=False)
        if not plan.steps and not plan.refused:
            advance(0, 0, "")
            return MartReport(unchanged=plan.unchanged, note=missing(items, settings.mart.span, span))
    from jobs.mart_load.load import load_mart  # noqa: PLC0415 - imports pyarrow

    report = load_mart(settings, markers, span, force=force, advance=advance)
    if not report.changed and not report.exit_code:
        note_unchanged(settings.mart)
    return report

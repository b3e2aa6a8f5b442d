"""Writes reviews into the lake's store: ``report/<period>/review.html`` and ``review.xlsx`` beside it.

The reviews of a mart have the same bytes every time, so a review that did not change is not written again. There are no
markers: a run writes what the mart has, and the next run repairs what a killed one left out.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.report.settings import ReportOptions, ReportSettings
from marquee.calendar import EVER, Period, Span
from marquee.lake import keys
from marquee.lake.markers import Markers
from marquee.mart.base import read_mart
from marquee.mart.ledger import within
from marquee.mart.questions import audience_periods
from marquee.report.review.answers import read_review
from marquee.report.review.page import review_page
from marquee.report.review.workbook import review_workbook
from marquee.runs.stage import Advance
from marquee.storage.base import ObjectNotFoundError, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """The result of a run: the number of periods whose review was written, because it changed."""

    changed: int
    note: str = ""
    exit_code: int = 0
    failures: int = 0


def publish(
    settings: ReportSettings,
    markers: Markers,
    span: Span = EVER,
    *,
    force: bool = False,
    advance: Advance = lambda _done, _all, _period: None,
) -> Published:
    """Write the reviews of the periods in a span; of the newest ones when the span is unbounded.

    Raises:
        TryAgainError: the mart is being loaded, or the mart or the store cannot be reached.
        ConfigError: there is no mart.
    """
    with read_mart(settings.mart) as mart:
        loaded = [Period.parse(one) for one in audience_periods(mart)]
    periods = chosen(loaded, span, settings.report)
    advance(0, len(periods), "")
    changed = 0
    for number, period in enumerate(periods, start=1):
        changed += _publish(settings, markers.store, period, force=force)
        advance(number, len(periods), str(period))
    return Published(changed, "" if periods else "the mart has no audience of such a period yet")


def chosen(loaded: Sequence[Period], span: Span, options: ReportOptions) -> list[Period]:
    """Return the periods of a run: those in a bounded span, otherwise the newest of each grain."""
    wanted = sorted(one for one in loaded if one.grain in options.grains and within(one, span))
    if span != EVER:
        return wanted
    seen: Counter[str] = Counter()
    newest = []
    for one in reversed(wanted):
        seen[one.grain] += 1
        if seen[one.grain] <= options.newest:
            newest.append(one)
    return sorted(newest)


def _publish(settings: ReportSettings, store: Store, period: Period, *, force: bool) -> bool:
    """Write the review of a period; return whether it changed."""
    review = read_review(settings.mart, str(period))
    files = {"review.html": review_page(review).encode(), "review.xlsx": review_workbook(review)}
    written = [_put(store, keys.report_key(period, name), data, force=force) for name, data in files.items()]
    if any(written):
        where = f"{store.url}/{keys.report_key(period, 'review.html')}"
        log.info("report %s: wrote %s", period, where, extra={"stage": "report", "period": str(period)})
    return any(written)


def _put(store: Store, key: str, data: bytes, *, force: bool) -> bool:
    try:
        if not force and store.get(key) == data:
            return False
    except ObjectNotFoundError:
        pass
    store.put(key, data)
    return True

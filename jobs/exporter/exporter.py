"""Looks at the parts, one after another, and remembers what it found: that is what a scrape gets.

A part that fails keeps what was found before; its error is counted, and its time of refresh grows old.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from jobs.exporter.parts import Part
from marquee.errors import MarqueeError, describe_foreign
from marquee.lake.markers import Markers
from marquee.telemetry import metrics
from marquee.telemetry.metrics import Sample, families, sample
from marquee.version import __version__

log = logging.getLogger(__name__)


@dataclass
class _Found:
    """What is known of a part."""

    samples: Sequence[Sample] = ()
    refreshed_at: datetime | None = None
    seconds: float = 0.0
    errors: int = 0


class Exporter(Collector):
    """The parts, and what was found of each; ``refresh`` is for one thread, all else for any."""

    def __init__(
        self,
        parts: Sequence[Part],
        markers: Markers,
        stuck_after_s: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._parts = parts
        self._markers = markers
        self._stuck_after_s = stuck_after_s
        self._clock = clock
        self._found = {part.name: _Found() for part in parts}
        self._rounds = 0
        self._began: float | None = None
        """When the look that is under way began, by the monotonic clock."""
        self._thread: threading.Thread | None = None

    @contextmanager
    def refreshing(self, interval_s: float) -> Iterator[None]:
        """Refresh in the background while the body runs, at once and then again and again."""
        stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(interval_s, stop), name="marquee-refresh", daemon=True)
        self._thread.start()
        try:
            yield
        finally:
            stop.set()  # the look that is under way is not waited for

    def _run(self, interval_s: float, stop: threading.Event) -> None:
        left_s = 0.0
        while not stop.wait(left_s):
            began = time.monotonic()
            self.refresh()
            left_s = max(0.0, interval_s - (time.monotonic() - began))

    def refresh(self) -> None:
        """Look at every part that is due."""
        now = self._clock()
        fresh: set[str] = set()
        for part in self._parts:
            before = self._found[part.name].refreshed_at
            # A second's grace: rounds do not come by the clock.
            if before is None or (now - before).total_seconds() > part.every.total_seconds() - 1:
                self._refresh(part, now, fresh)
        self._rounds += 1

    def _refresh(self, part: Part, now: datetime, fresh: set[str]) -> None:
        before, self._began = self._found[part.name], time.monotonic()
        try:
            for stage in part.stages:
                if stage not in fresh:
                    self._markers.refresh(stage)
                    fresh.add(stage)
            samples = list(part.look(now))
        except Exception as error:  # the edge of a look: whatever failed, the others are looked at
            reason = str(error) if isinstance(error, MarqueeError) else describe_foreign(error)
            log.warning("%s cannot be looked at: %s", part.name, reason, extra={"part": part.name})
            log.debug("traceback", exc_info=error)
            found = _Found(before.samples, before.refreshed_at, self._elapsed(), before.errors + 1)
        else:
            found = _Found(samples, now, self._elapsed(), before.errors)
        self._found[part.name] = found  # at once: a scrape sees the old or the new
        self._began = None

    def _elapsed(self) -> float:
        began = self._began  # once: it may change meanwhile
        return 0.0 if began is None else time.monotonic() - began

    def collect(self) -> Iterator[Family]:
        """Yield what was found last, and how the looks went."""
        found = dict(self._found)
        samples = [one for part in found.values() for one in part.samples]
        for name, part in found.items():
            if part.refreshed_at:
                samples.append(sample(metrics.LAST_REFRESH, part.refreshed_at.timestamp(), part=name))
            samples.append(sample(metrics.REFRESH_DURATION, part.seconds, part=name))
            samples.append(sample(metrics.REFRESH_ERRORS, part.errors, part=name))
        samples.append(sample(metrics.BUILD_INFO, 1, version=__version__))
        yield from families(samples)

    def what_is_stuck(self) -> str:
        """Tell why the process should be started anew, nothing while it does its work."""
        if self._thread is not None and not self._thread.is_alive():
            return "nothing is refreshed any more: the thread has ended"
        if self._elapsed() > self._stuck_after_s:
            return f"a look has taken {self._elapsed():.0f} s so far"
        return ""

    def what_is_missing(self) -> str:
        """Tell what there is to wait for before a scrape tells anything, nothing after the first round."""
        return "" if self._rounds else "the first round is under way"

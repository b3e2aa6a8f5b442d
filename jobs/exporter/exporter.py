"""Refreshes the collectors in the background and keeps their samples, which a scrape returns.

If a collector fails, its previous samples stay, its error counter rises, and its time of refresh gets older. That time
is 0 if it fails from the start, so that a restart of the exporter ends no alert.
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

from jobs.exporter.collectors import StateCollector
from marquee.errors import MarqueeError, describe_foreign
from marquee.lake.markers import Markers
from marquee.telemetry import metrics
from marquee.telemetry.metrics import Sample, families, sample
from marquee.version import __version__

log = logging.getLogger(__name__)


@dataclass
class _Refreshed:
    """Result of a collector's refreshes."""

    samples: Sequence[Sample] = ()
    refreshed_at: datetime | None = None
    seconds: float = 0.0
    errors: int = 0


class Exporter(Collector):
    """The collectors, and the samples of each. Call ``refresh`` from one thread; all else is thread-safe."""

    def __init__(
        self,
        collectors: Sequence[StateCollector],
        markers: Markers,
        stuck_after_s: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._collectors = collectors
        self._markers = markers
        self._stuck_after_s = stuck_after_s
        self._clock = clock
        self._refreshed = {collector.name: _Refreshed() for collector in collectors}
        self._rounds = 0
        self._began: float | None = None
        """Start of the running refresh by the monotonic clock, None between refreshes."""
        self._thread: threading.Thread | None = None

    @contextmanager
    def refreshing(self, interval_s: float) -> Iterator[None]:
        """Refresh in the background while the ``with`` block runs: at once, then every ``interval_s`` seconds."""
        stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(interval_s, stop), name="marquee-refresh", daemon=True)
        self._thread.start()
        try:
            yield
        finally:
            stop.set()  # does not wait for a running refresh

    def _run(self, interval_s: float, stop: threading.Event) -> None:
        left_s = 0.0
        while not stop.wait(left_s):
            began = time.monotonic()
            self.refresh()
            left_s = max(0.0, interval_s - (time.monotonic() - began))

    def refresh(self) -> None:
        """Refresh every collector that is due."""
        now = self._clock()
        fresh: set[str] = set()
        for collector in self._collectors:
            before = self._refreshed[collector.name].refreshed_at
            # A grace of a second, because rounds are not exactly on time.
            if before is None or (now - before).total_seconds() > collector.every.total_seconds() - 1:
                self._refresh(collector, now, fresh)
        self._rounds += 1

    def _refresh(self, collector: StateCollector, now: datetime, fresh: set[str]) -> None:
        before, self._began = self._refreshed[collector.name], time.monotonic()
        try:
            for stage in collector.stages:
                if stage not in fresh:
                    self._markers.refresh(stage)
                    fresh.add(stage)
            samples = list(collector.read(now))
        except Exception as error:  # the edge of a refresh: an error must not stop the other collectors
            reason = str(error) if isinstance(error, MarqueeError) else describe_foreign(error)
            log.warning("%s could not be refreshed: %s", collector.name, reason, extra={"part": collector.name})
            log.debug("traceback", exc_info=error)
            refreshed = _Refreshed(before.samples, before.refreshed_at, self._elapsed(), before.errors + 1)
        else:
            refreshed = _Refreshed(samples, now, self._elapsed(), before.errors)
        self._refreshed[collector.name] = refreshed  # atomic: a scrape sees the old or the new samples
        self._began = None

    def _elapsed(self) -> float:
        began = self._began  # read once: another thread may change it
        return 0.0 if began is None else time.monotonic() - began

    def collect(self) -> Iterator[Family]:
        """Yield the latest samples of every collector, and the metrics of the refreshes."""
        refreshed = dict(self._refreshed)
        samples = [one for latest in refreshed.values() for one in latest.samples]
        for name, latest in refreshed.items():
            if latest.refreshed_at or latest.errors:  # never, or long ago, is the same to an alert
                refreshed_at = latest.refreshed_at.timestamp() if latest.refreshed_at else 0.0
                samples.append(sample(metrics.LAST_REFRESH, refreshed_at, part=name))
            samples.append(sample(metrics.REFRESH_DURATION, latest.seconds, part=name))
            samples.append(sample(metrics.REFRESH_ERRORS, latest.errors, part=name))
        samples.append(sample(metrics.BUILD_INFO, 1, version=__version__))
        yield from families(samples)

    def liveness(self) -> str:
        """Return why the process must be restarted; empty while it works."""
        if self._thread is not None and not self._thread.is_alive():
            return "the refresh thread has ended: restart the exporter"
        if self._elapsed() > self._stuck_after_s:
            return f"a refresh is running for {self._elapsed():.0f} s: restart the exporter"
        return ""

    def readiness(self) -> str:
        """Return why a scrape has no samples yet; empty after the first round of refreshes."""
        return "" if self._rounds else "the first refresh is running"

"""A job's own metrics: to be scraped while it runs, where it has a port, and pushed at its end to a Pushgateway.

A push is a POST: it replaces metrics of the same names alone, so that a failure, which has no time of success, leaves
that of the last success. Whatever happens to metrics, the run goes on: a port that is taken or a push that fails is
logged.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, pushadd_to_gateway

from marquee.errors import INTERNAL, INTERRUPTED, MarqueeError
from marquee.telemetry import instruments, metrics
from marquee.telemetry.metrics import STAGE, Labelled, make_gauge
from marquee.telemetry.server import MetricsServer, serving

log = logging.getLogger(__name__)

PUSHED_AS = "marquee"
"""The label `job` of what is pushed, which a Pushgateway asks for."""


@dataclass(frozen=True)
class MetricsOptions:
    """Where a job's metrics are served and pushed: not at all without a port, and without a URL."""

    environment: str
    address: str
    port: int | None
    pushgateway_url: str | None
    push_timeout_s: float


class Job:
    """How far a job is, and how it ended."""

    def __init__(self, options: MetricsOptions, stage: str) -> None:
        self._options = options
        self._labels = {metrics.ENVIRONMENT: options.environment, STAGE: stage}
        self._began = time.time()
        self._own = CollectorRegistry()
        self._through = 0
        """Periods that stages before the one under way were through with."""
        self._done = 0
        make_gauge(metrics.JOB_START, self._own, STAGE).set(self._began)
        for state in ("done", "left", "failed"):
            instruments.JOB_PERIODS.labels(state).set(0)

    def advance(self, done: int, every: int, _: str) -> None:
        """Take note of the progress of a stage; that of the next, in the same job, begins with 0 again."""
        if done <= self._done:
            self._through += self._done
        self._done = done
        instruments.JOB_PERIODS.labels("done").set(self._through + done)
        instruments.JOB_PERIODS.labels("left").set(every - done)

    @contextmanager
    def served(self) -> Iterator[None]:
        """Answer scrapes while the body runs, where there is a port for it."""
        where = self._options
        with ExitStack() as stack:
            if where.port is not None:
                registry = self._registry(instruments.WORK, instruments.PROGRESS, self._own)
                try:
                    stack.enter_context(serving(MetricsServer(where.address, where.port, registry)))
                except OSError as error:
                    log.warning("no metrics at %s:%s: %s", where.address, where.port, error)
            yield

    def end(self, exit_code: int) -> None:
        """Push how the job ended, where there is a Pushgateway."""
        now = time.time()
        make_gauge(metrics.JOB_DURATION, self._own, STAGE).set(now - self._began)
        make_gauge(metrics.JOB_COMPLETION, self._own, STAGE).set(now)
        make_gauge(metrics.JOB_EXIT_CODE, self._own, STAGE).set(exit_code)
        if exit_code == 0:
            make_gauge(metrics.JOB_SUCCESS, self._own, STAGE).set(now)
        url = self._options.pushgateway_url
        if url is None:
            return
        registry = self._registry(instruments.PROGRESS, self._own)
        try:
            pushadd_to_gateway(url, PUSHED_AS, registry, self._labels, self._options.push_timeout_s)
        except Exception as error:  # noqa: BLE001 - whatever a server answers, the run is not to fail by it
            log.warning("metrics could not be pushed to %s: %s: %s", url, type(error).__name__, error)

    def _registry(self, *registries: CollectorRegistry) -> CollectorRegistry:
        told = CollectorRegistry()
        for one in registries:
            told.register(Labelled(one, **self._labels))
        return told


@contextmanager
def measured(options: MetricsOptions, stage: str) -> Iterator[Job]:
    """Tell of a job while the body runs it; the body says how it ended, unless an error does."""
    job = Job(options, stage)
    with job.served():
        try:
            yield job
        except BaseException as error:
            job.end(_code_of(error))
            raise


def _code_of(error: BaseException) -> int:
    """Return the exit code that the program will end with."""
    if isinstance(error, MarqueeError):
        return error.exit_code
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else INTERNAL

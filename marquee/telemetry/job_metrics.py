"""A job's own metrics: served on a port while it runs, and pushed to a Pushgateway at its end.

A push is a POST, which replaces only metrics with the same names. A failed job has no time of success, so the time of
the last success remains. Errors with metrics, such as a port in use or a failed push, are logged and do not stop the
job.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, pushadd_to_gateway

from marquee import stopping
from marquee.errors import INTERNAL, INTERRUPTED, MarqueeError
from marquee.telemetry import instruments, metrics
from marquee.telemetry.metrics import STAGE, Labelled, make_gauge
from marquee.telemetry.server import MetricsServer, serving

log = logging.getLogger(__name__)

PUSHED_AS = "marquee"
"""The label `job` of pushed metrics, which the Pushgateway requires."""


@dataclass(frozen=True)
class MetricsOptions:
    """Where a job's metrics are served (nowhere without a port) and pushed (nowhere without a URL)."""

    environment: str
    address: str
    port: int | None
    pushgateway_url: str | None
    push_timeout_s: float


class Job:
    """Progress and result of a job, as metrics."""

    def __init__(self, options: MetricsOptions, stage: str) -> None:
        self._options = options
        self._labels = {metrics.ENVIRONMENT: options.environment, STAGE: stage}
        self._began = time.time()
        self._own = CollectorRegistry()
        self._through = 0
        """Number of periods finished by the earlier stages of this job."""
        self._done = 0
        instruments.RAW_OBJECTS.clear()
        make_gauge(metrics.JOB_START, self._own, STAGE).set(self._began)
        for state in ("done", "left", "failed"):
            instruments.JOB_PERIODS.labels(state).set(0)

    def advance(self, done: int, every: int, _: str) -> None:
        """Record the progress of a stage. The next stage of the same job starts again at 0."""
        if done <= self._done:
            self._through += self._done
        self._done = done
        instruments.JOB_PERIODS.labels("done").set(self._through + done)
        instruments.JOB_PERIODS.labels("left").set(every - done)

    @contextmanager
    def served(self) -> Iterator[None]:
        """Serve metrics while the body runs, if there is a port."""
        where = self._options
        with ExitStack() as stack:
            if where.port is not None:
                registry = self._registry(instruments.WORK, instruments.PROGRESS, self._own)
                try:
                    stack.enter_context(serving(MetricsServer(where.address, where.port, registry)))
                except OSError as error:
                    log.warning("cannot serve metrics at %s:%s: %s", where.address, where.port, error)
            yield

    def end(self, exit_code: int) -> None:
        """Push the job's result, if there is a Pushgateway."""
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
        except Exception as error:  # noqa: BLE001 - a failed push must not fail the job
            log.warning("cannot push metrics to %s: %s: %s", url, type(error).__name__, error)

    def _registry(self, *registries: CollectorRegistry) -> CollectorRegistry:
        labelled = CollectorRegistry()
        for one in registries:
            labelled.register(Labelled(one, **self._labels))
        return labelled


@contextmanager
def measured(options: MetricsOptions, stage: str) -> Iterator[Job]:
    """Publish a job's metrics while the body runs. The body calls ``end``, unless it raises an error."""
    job = Job(options, stage)
    with job.served(), stopping.at_last(lambda: job.end(stopping.exit_code())):
        try:
            yield job
        except BaseException as error:
            job.end(_code_of(error))
            raise


def _code_of(error: BaseException) -> int:
    """Return the exit code with which an error ends the program."""
    if isinstance(error, MarqueeError):
        return error.exit_code
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else INTERNAL

"""Runs one application: creates or adopts it, waits for its end, and deletes it if it must not outlive the launcher.

It polls, because a broken watch could miss changes. If the cluster does not answer, it retries until a deadline.
"""

import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn, TypeVar

from jobs.launcher.application import (
    FINAL,
    STARTING,
    Application,
    Driver,
    Manifest,
    Owner,
    driver_pod_of,
    fill_in,
    last_warnings,
    mark,
    result_of,
    why_not_started,
)
from jobs.launcher.cluster import Cluster, ConflictError, NoAnswerError, RefusedError
from jobs.launcher.settings import LauncherOptions
from marquee.errors import MarqueeError, TryAgainError

log = logging.getLogger(__name__)

MAX_PAUSE_S = 60.0
REMOVAL_S = 15.0
"""Seconds to delete the application in, which fit in a pod's 30 seconds between SIGTERM and SIGKILL."""

T = TypeVar("T")


@dataclass(frozen=True)
class Clock:
    """A monotonic clock in seconds, and a sleep."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Launch:
    """Runs one application for a Job."""

    def __init__(
        self,
        cluster: Cluster,
        options: LauncherOptions,
        owner: Owner,
        clock: Clock | None = None,
        noticed_s: float = math.inf,
    ) -> None:
        """Take the seconds in which the operator must have given it a state or a driver, if a person waits for it."""
        self._cluster, self._options, self._owner = cluster, options, owner
        self._clock = clock or Clock()
        self._noticed_s = noticed_s
        self._begun = self._clock.now()
        self._deadline = self._begun + options.deadline_s

    def run(self, template: Manifest, arguments: Sequence[str]) -> int:
        """Run an application with these arguments; return its exit code.

        An application of an earlier pod of the Job is adopted. Its result counts, unless a retry may give another one.
        """
        attempt = 0
        while True:
            manifest = fill_in(template, self._owner, arguments, attempt)
            try:
                application = self._place(manifest)
                code = self._finish(application) if application.ended else self._follow(application)
            except (SystemExit, KeyboardInterrupt, NoAnswerError):
                self._remove(manifest["metadata"]["name"])
                raise
            if not application.ended or code in FINAL:
                return code
            attempt += 1

    def _place(self, manifest: Manifest) -> Application:
        """Create the application, or return the one from an earlier pod of this Job."""
        name: str = manifest["metadata"]["name"]
        until = self._clock.now() + self._options.startup_deadline_s
        blocked = "another pod of this Job is creating it"
        while self._clock.now() < until:
            found = self._answer(lambda: self._cluster.application(name), until)
            if found is not None and not found.belongs_to(self._owner):
                message = (
                    f"SparkApplication {name} already exists for stage {found.stage!r} and Job {found.job_uid!r}, "
                    f"expected none, or one for {self._owner.stage!r} and {self._owner.job_uid!r}. Delete it"
                )
                raise MarqueeError(message)
            if found is not None and not found.deleted:
                self._say(f"adopted {name} {' '.join(found.arguments)}", name, found.state)
                return found
            # If the old driver's pod still exists, the operator takes it for the new application's.
            if found is None and self._answer(lambda: self._cluster.pod(driver_pod_of(name)), until) is None:
                try:
                    made = self._answer(lambda: self._cluster.create(manifest), until)
                except ConflictError:
                    self._clock.sleep(self._options.poll_s)
                    continue
                self._say(f"created {name} {' '.join(made.arguments)}", name, made.state)
                return made
            blocked = "an earlier application, or its driver's pod, is still being deleted"
            self._clock.sleep(self._options.poll_s)
        message = f"{name} could not be created within {self._options.startup_deadline_s:.0f} s: {blocked}"
        raise TryAgainError(message)

    def _follow(self, application: Application) -> int:
        """Wait for the end of the application; return its exit code."""
        since, state, waits = self._clock.now(), application.state, ""
        while True:
            found = self._answer(lambda: self._cluster.application(application.name), self._deadline, placed=True)
            if found is None or found.deleted or found.uid != application.uid:
                message = (
                    f"{application.name} was deleted while it ran, by a person or by its time to live. Run it again"
                )
                raise TryAgainError(message)
            if found.state != state:
                state = found.state
                self._say(f"{found.name} is {state}", found.name, state)
            if found.ended:
                return self._finish(found)
            if self._clock.now() >= self._deadline:
                self._give_up(found)
            if found.state in STARTING:
                waits = self._check_start(found, since, waits)
            self._clock.sleep(self._options.poll_s)

    def _check_start(self, application: Application, since: float, logged: str) -> str:
        """Log what the driver waits for, unless it was ``logged`` before; raise an error after the deadline."""
        driver = self._driver(application)
        waited = self._clock.now() - since
        waits = driver.waits if driver else ""
        if driver is None and waited >= self._options.poll_s:  # too early to log
            waits = f"there is no pod {application.driver_pod}"
        if waits and waits != logged:
            self._say(f"{application.name} waits: {waits}", application.name, application.state)
        unnoticed = driver is None and not application.state and waited >= self._noticed_s
        if unnoticed or waited >= self._options.startup_deadline_s:
            named = (application.name, application.driver_pod)
            events = [event for name in named for event in self._list(partial(self._cluster.events, name))]
            error = why_not_started(application, driver, last_warnings(events), waited)
            self._remove(application.name)
            raise error
        return waits

    def _give_up(self, application: Application) -> NoReturn:
        self._copy_log(application, self._driver(application))
        self._remove(application.name)
        message = (
            f"{application.name} was still {application.state} after {self._options.deadline_s:.0f} s and was deleted. "
            "The periods that it published are kept. Run it again to continue, with smaller batches or more executors"
        )
        raise TryAgainError(message)

    def _finish(self, application: Application) -> int:
        driver = self._driver(application)
        self._copy_log(application, driver)
        code, message = result_of(application, driver)
        self._say(message, application.name, application.state, logging.ERROR if code else logging.INFO)
        return code

    def _driver(self, application: Application) -> Driver | None:
        pod = self._answer(lambda: self._cluster.pod(application.driver_pod), self._deadline, placed=True)
        return None if pod is None else Driver.read(pod)

    def _copy_log(self, application: Application, driver: Driver | None) -> None:
        """Copy the last lines of the driver's log to the launcher's, each with the pod's name."""
        if driver is not None and driver.began:
            pod = application.driver_pod
            for line in self._list(partial(self._cluster.log_tail, pod, self._options.log_lines)):
                sys.stderr.write(mark(line, pod) + "\n")

    def _remove(self, name: str) -> None:
        """Delete an application of this Job, or log that it continues to run."""
        until = self._clock.now() + REMOVAL_S
        while True:
            try:
                found = self._cluster.application(name)
                if found is not None and found.belongs_to(self._owner):
                    self._cluster.delete(found)
                    self._say(f"deleted {name}", name, found.state)
            except (NoAnswerError, RefusedError) as error:
                if self._clock.now() >= until:
                    log.error("%s could not be deleted and runs until its Job is deleted: %s", name, error)  # noqa: TRY400
                    return
                self._clock.sleep(1)
            else:
                return

    def _answer(self, call: Callable[[], T], until: float, *, placed: bool = False) -> T:
        """Return the cluster's answer; retry until ``until`` if it does not answer.

        Once the application is ``placed``, retry refused calls too: the right existed before, and Spark keeps running.
        """
        pause = self._options.poll_s
        while True:
            try:
                return call()
            except (NoAnswerError, RefusedError) as error:
                if self._clock.now() >= until or (isinstance(error, RefusedError) and not placed):
                    raise
                log.warning("%s; retry in %.0f s", error, pause)
                self._clock.sleep(max(0.0, min(pause, until - self._clock.now())))
                pause = min(2 * pause, MAX_PAUSE_S)

    def _list(self, call: Callable[[], list[T]]) -> list[T]:
        """Return the cluster's list; empty, with a warning, if it does not answer."""
        try:
            return call()
        except (NoAnswerError, RefusedError) as error:
            log.warning("%s", error)
            return []

    def _say(self, text: str, name: str, state: str, level: int = logging.INFO) -> None:
        elapsed = round(self._clock.now() - self._begun, 1)
        log.log(level, "%s", text, extra={"application": name, "state": state, "elapsed_s": elapsed})

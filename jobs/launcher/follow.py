"""One application from its creation to its end: created or adopted, watched, and deleted where it must not outlive us.

Polls, so that nothing is missed by a watch that broke. Answers that fail to come are waited for until a deadline.
"""

import logging
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
"""Within the 30 seconds that a pod has between SIGTERM and SIGKILL."""

T = TypeVar("T")


@dataclass(frozen=True)
class Clock:
    """Seconds that go on, and how they are waited for."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Launch:
    """Runs one application for a Job."""

    def __init__(self, cluster: Cluster, options: LauncherOptions, owner: Owner, clock: Clock | None = None) -> None:
        self._cluster, self._options, self._owner = cluster, options, owner
        self._clock = clock or Clock()
        self._begun = self._clock.now()
        self._deadline = self._begun + options.deadline_s

    def run(self, template: Manifest, arguments: Sequence[str]) -> int:
        """Have an application do what the arguments say; return its exit code.

        What an earlier pod of the Job left is adopted, and its result taken unless running again may give another.
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
        """Create the application, or return the one that an earlier pod of this Job left."""
        name: str = manifest["metadata"]["name"]
        until = self._clock.now() + self._options.startup_deadline_s
        blocked = "another pod of this Job creates it at the same time"
        while self._clock.now() < until:
            found = self._answer(lambda: self._cluster.application(name), until)
            if found is not None and not found.belongs_to(self._owner):
                message = (
                    f"there is a SparkApplication {name} already, of stage {found.stage!r} and Job {found.job_uid!r}: "
                    f"expected none, or one of {self._owner.stage!r} and {self._owner.job_uid!r}: delete it"
                )
                raise MarqueeError(message)
            if found is not None and not found.deleted:
                self._say(f"adopted {name} {' '.join(found.arguments)}", name, found.state)
                return found
            # Were the old driver's pod still there, the operator would take it for the new one's.
            if found is None and self._answer(lambda: self._cluster.pod(driver_pod_of(name)), until) is None:
                try:
                    made = self._answer(lambda: self._cluster.create(manifest), until)
                except ConflictError:
                    self._clock.sleep(self._options.poll_s)
                    continue
                self._say(f"created {name} {' '.join(made.arguments)}", name, made.state)
                return made
            blocked = "an earlier one, or its driver's pod, is still being deleted"
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
                    f"{application.name} was deleted while it ran, by somebody or by its time to live: run it again"
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

    def _check_start(self, application: Application, since: float, told: str) -> str:
        """Say what the driver waits for, if that was not ``told``; an error when it has waited too long."""
        driver = self._driver(application)
        waited = self._clock.now() - since
        waits = driver.waits if driver else ""
        if driver is None and waited >= self._options.poll_s:  # a moment is not worth a line
            waits = f"there is no pod {application.driver_pod}"
        if waits and waits != told:
            self._say(f"{application.name} waits: {waits}", application.name, application.state)
        if waited >= self._options.startup_deadline_s:
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
            f"{application.name} was still {application.state} after {self._options.deadline_s:.0f} s and was deleted; "
            "the periods it has published stand: run it again to go on, with smaller batches or more executors"
        )
        raise TryAgainError(message)

    def _finish(self, application: Application) -> int:
        driver = self._driver(application)
        self._copy_log(application, driver)
        code, told = result_of(application, driver)
        self._say(told, application.name, application.state, logging.ERROR if code else logging.INFO)
        return code

    def _driver(self, application: Application) -> Driver | None:
        pod = self._answer(lambda: self._cluster.pod(application.driver_pod), self._deadline, placed=True)
        return None if pod is None else Driver.read(pod)

    def _copy_log(self, application: Application, driver: Driver | None) -> None:
        """Write the last lines of the driver's log to our own, each marked with the pod's name."""
        if driver is not None and driver.began:
            pod = application.driver_pod
            for line in self._list(partial(self._cluster.log_tail, pod, self._options.log_lines)):
                sys.stderr.write(mark(line, pod) + "\n")

    def _remove(self, name: str) -> None:
        """Delete an application of this Job, or say that it goes on."""
        until = self._clock.now() + REMOVAL_S
        while True:
            try:
                found = self._cluster.application(name)
                if found is not None and found.belongs_to(self._owner):
                    self._cluster.delete(found)
                    self._say(f"deleted {name}", name, found.state)
            except (NoAnswerError, RefusedError) as error:
                if self._clock.now() >= until:
                    log.error("%s goes on until its Job is deleted, for it could not be: %s", name, error)  # noqa: TRY400
                    return
                self._clock.sleep(1)
            else:
                return

    def _answer(self, call: Callable[[], T], until: float, *, placed: bool = False) -> T:
        """Return what the cluster answers, asked again and again until then if it does not.

        Once the application is ``placed``, also where it refuses: what was allowed will be again, and Spark goes on.
        """
        pause = self._options.poll_s
        while True:
            try:
                return call()
            except (NoAnswerError, RefusedError) as error:
                if self._clock.now() >= until or (isinstance(error, RefusedError) and not placed):
                    raise
                log.warning("%s; asked again in %.0f s", error, pause)
                self._clock.sleep(max(0.0, min(pause, until - self._clock.now())))
                pause = min(2 * pause, MAX_PAUSE_S)

    def _list(self, call: Callable[[], list[T]]) -> list[T]:
        """Return what the cluster lists, nothing if it does not answer: that is not worth an error."""
        try:
            return call()
        except (NoAnswerError, RefusedError) as error:
            log.warning("%s", error)
            return []

    def _say(self, text: str, name: str, state: str, level: int = logging.INFO) -> None:
        elapsed = round(self._clock.now() - self._begun, 1)
        log.log(level, "%s", text, extra={"application": name, "state": state, "elapsed_s": elapsed})

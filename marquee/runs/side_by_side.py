"""Makes periods side by side: what computes runs in threads, everything else in the thread of the run, in turns.

A period is a generator. It yields the work that may run in a thread, and is sent the result with the CPU seconds that
it took. So markers and the state of the run are written by one thread only.
"""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeAlias

from marquee.engine.base import cpu_seconds
from marquee.lake.manifest import Result

Work: TypeAlias = Callable[[], Result]
Done: TypeAlias = tuple[Result, float]
"""A result, and the CPU seconds that it took."""
Steps: TypeAlias = Generator[Work, Done, Any]


LEAVE_S = 1.0
"""Seconds to wait for threads after a signal."""


class SideBySide:
    """Runs up to ``most`` periods at a time; with one, in this thread. The context waits for the last ones.

    An error of a period's own steps, as when Spark has stopped, is raised once the others have ended, without new ones.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._running: set[Steps] = set()
        self._threads: list[threading.Thread] = []
        self._ended: SimpleQueue[tuple[Steps, Done | BaseException]] = SimpleQueue()

    def run(self, steps: Steps) -> None:
        """Run a period, after waiting for a place."""
        while len(self._running) >= self._most:
            self._wait()
        try:
            work = next(steps)
        except StopIteration:
            return
        self._running.add(steps)
        if self._most == 1:
            self._ended.put((steps, _outcome(work, of_thread=False)))
            self._wait()
        else:
            # Daemons: a process that is asked to stop does not wait for them.
            thread = threading.Thread(target=self._make, args=(steps, work), name="marquee-period", daemon=True)
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()

    def _make(self, steps: Steps, work: Work) -> None:
        self._ended.put((steps, _outcome(work, of_thread=True)))

    def _wait(self) -> None:
        steps, outcome = self._next()
        self._running.remove(steps)
        try:
            if isinstance(outcome, BaseException):
                steps.throw(outcome)
            else:
                steps.send(outcome)
        except StopIteration:
            return

    def _next(self) -> tuple[Steps, Done | BaseException]:
        while True:
            # Short waits: if another thread receives a signal, a waiting main thread does not wake up.
            with suppress(Empty):
                return self._ended.get(timeout=0.5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, Exception):
            self._leave()
            return
        first: BaseException | None = None
        while self._running:
            try:
                self._wait()
            except Exception as found:  # noqa: BLE001 - raised below, once all have ended
                first = first or found
        if first is not None and error is None:
            raise first

    def _leave(self) -> None:
        """End all periods after a signal, which cancels their work; wait for the threads, but not for long."""
        for steps in self._running:
            steps.close()
        until = time.monotonic() + LEAVE_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))


def _outcome(work: Work, *, of_thread: bool) -> Done | BaseException:
    before = cpu_seconds(of_thread=of_thread)
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - raised in the steps
        return error
    return result, cpu_seconds(of_thread=of_thread) - before

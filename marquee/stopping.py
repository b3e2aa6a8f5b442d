"""Ends a process in time after SIGTERM or Ctrl-C, whatever it is doing.

The handler of the signal raises an exception in the main thread, which unwinds and cleans up. It may have to wait for a
task: for a query, or for a call that blocks. So a thread that hears of the signal at once interrupts the queries, and
ends the process if it still runs after ``STOP_S`` seconds.
"""

import atexit
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import NoReturn

from marquee.errors import INTERRUPTED, TERMINATED

log = logging.getLogger(__name__)

STOP_S = 2.5
"""Seconds that a stopping process has for its own way out."""
LAST_S = 1.0
"""Seconds for the last callbacks, which may call a store that does not answer."""

CODES = {signal.SIGTERM: TERMINATED, signal.SIGINT: INTERRUPTED}


class StoppedError(BaseException):
    """Raised in a task of a process that stops. No task may catch it as an error of its own."""


@dataclass
class _State:
    requested: bool = False
    code: int = TERMINATED
    raised: bool = False
    at_once: list[Callable[[], object]] = field(default_factory=list)
    at_last: list[Callable[[], object]] = field(default_factory=list)
    finally_: list[Callable[[], object]] = field(default_factory=list)
    parent: int | None = None
    over: threading.Event = field(default_factory=threading.Event)


_state = _State()


def requested() -> bool:
    """Return whether a signal has asked this process to stop."""
    return _state.requested


def exit_code() -> int:
    """Return the exit code for the signal that has asked this process to stop."""
    return _state.code


def check() -> None:
    """Raise StoppedError if this process is to stop; loops of tasks call it."""
    if _state.requested:
        raise StoppedError


def at_once(callback: Callable[[], object]) -> None:
    """Call a function when a signal arrives, in a thread, to interrupt what runs."""
    _state.at_once.append(callback)


def finally_(callback: Callable[[], object]) -> None:
    """Call a function right before the process is ended, when all else is done; it must not block."""
    _state.finally_.append(callback)


@contextmanager
def at_last(callback: Callable[[], object]) -> Iterator[None]:
    """Call a function before the process is ended within the body; it has ``LAST_S`` seconds."""
    _state.at_last.append(callback)
    try:
        yield
    finally:
        _state.at_last.remove(callback)


def tie_to(parent: int) -> None:
    """End this process as by SIGKILL when the other end of a pipe closes, because its parent has died."""
    _state.parent = parent


@contextmanager
def stopped_by_signals(*, ends: bool, stop_s: float = STOP_S) -> Iterator[None]:
    """Turn SIGTERM into SystemExit and SIGINT into KeyboardInterrupt while the body runs, in the main thread.

    Args:
        ends: whether to end the process if it still runs ``stop_s`` seconds after the signal.
        stop_s: seconds.
    """
    _state.requested = _state.raised = False
    signals = [one for one in CODES if one is signal.SIGTERM or signal.getsignal(one) is signal.default_int_handler]
    before = {one: signal.signal(one, _raise) for one in signals}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watch = _Watch(reader, stop_s, ends=ends)
    thread = threading.Thread(target=watch.run, name="marquee-signals", daemon=True)
    thread.start()
    if ends:
        atexit.register(_leave, thread)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        os.close(writer)
        for one, handler in before.items():  # a process on its way out ignores further signals
            signal.signal(one, signal.SIG_IGN if ends and _state.requested else handler)
        if not ends:  # the process lives on
            _state.requested = False


def _leave(thread: threading.Thread) -> None:
    """End the thread at Python's own end, when nothing can block any more: modules that it uses could not be freed."""
    _state.over.set()
    thread.join(LAST_S)


def _raise(number: int, _: FrameType | None) -> None:
    if _state.raised:  # a second signal would interrupt the clean-up
        return
    _state.requested = _state.raised = True
    _state.code = CODES[signal.Signals(number)]
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(TERMINATED)


@dataclass(frozen=True)
class _Watch:
    """Waits for a signal, also while the main thread is in a call and cannot run its handler."""

    reader: int
    stop_s: float
    ends: bool

    def run(self) -> None:
        ends = [self.reader, *([] if _state.parent is None else [_state.parent])]
        try:
            while True:
                ready, _, _ = select.select(ends, [], [])
                if _state.parent in ready:
                    os.kill(os.getpid(), signal.SIGKILL)
                sent = os.read(self.reader, 1)
                if not sent:
                    return
                if sent[0] in CODES:
                    self._stop(signal.Signals(sent[0]))
                    return
        finally:
            os.close(self.reader)

    def _stop(self, sent: signal.Signals) -> None:
        _state.requested, _state.code = True, CODES[sent]
        deadline = time.monotonic() + self.stop_s
        while True:  # again and again: a task may begin another query
            for callback in _state.at_once:
                _call(callback)
            if time.monotonic() >= deadline:
                break
            if _state.over.wait(0.1) or not (self.ends or _state.requested):
                return
        if self.ends:
            self._end(sent)

    def _end(self, sent: signal.Signals) -> NoReturn:
        log.warning("%s: a task did not stop within %g s; the process ends now", sent.name, self.stop_s)
        last = [threading.Thread(target=_call, args=(callback,), daemon=True) for callback in _state.at_last]
        for one in last:
            one.start()
        until = time.monotonic() + LAST_S
        for one in last:
            one.join(max(0.0, until - time.monotonic()))
        for callback in _state.finally_:
            _call(callback)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(CODES[sent])


def _call(callback: Callable[[], object]) -> None:
    with suppress(Exception):
        callback()

"""Runs a command in a child process, and starts it again when the child dies, so that one period ends no batch.

A crash of native code or a lack of memory kills a process with all the periods that it has not made yet. The parent
only waits: it starts the child again, which plans anew, makes the rest and puts off a period at which the process died
twice (``deaths.py``). The parent forks before anything large is imported. It forwards SIGTERM and SIGINT, and kills a
child that does not stop in time. If the parent is killed, so is the child.
"""

import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType

from marquee import stopping
from marquee.engine.base import SUBMITTED

log = logging.getLogger(__name__)

MOST_RESTARTS = 20
STOP_S = 4.2
"""Seconds after which the parent kills a child that a signal has not stopped."""

CRASHES = {
    getattr(signal, name)
    for name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "SIGSYS", "SIGTRAP", "SIGKILL")
    if hasattr(signal, name)
}
FORWARDED = (signal.SIGTERM, signal.SIGINT)
INVOCATION = secrets.token_hex(8)
"""Names this command. The processes that it starts again have the same name."""
BEGAN = datetime.now(UTC)
"""When this command began."""


@dataclass
class _Child:
    """What a child knows: the pipe in which it tells its parent that it may be started again, and its predecessors."""

    tells: int | None = None
    restarts: int = 0


_child = _Child()


def restarted() -> bool:
    """Return whether this process was started again after an earlier one of the same command died."""
    return _child.restarts > 0


def allow_restart() -> None:
    """Tell the parent, if there is one, to start this process again when it dies."""
    if _child.tells is not None:
        os.write(_child.tells, b"1")


def supervised(set_up_logs: Callable[[], object], clean_up: Callable[[], object]) -> None:
    """Fork. Return in the child, which runs the command. The parent ends here, with the exit code of the last child.

    Args:
        set_up_logs: called before the parent logs.
        clean_up: called after the parent has killed a child.
    """
    # The Java process of spark-submit serves one Python process.
    if SUBMITTED in os.environ or sys.platform != "linux":  # libraries of macOS do not work in a forked process
        return
    _flush()
    code = _Supervisor(set_up_logs, clean_up).run()
    if code is not None:
        _flush()
        os._exit(code)  # Python's own end would first copy and free the pages that the child had not copied


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


@dataclass
class _Supervisor:
    set_up_logs: Callable[[], object]
    clean_up: Callable[[], object]
    child: int = 0
    asked: int = 0
    """The signal that asked to stop; 0 for none."""

    def run(self) -> int | None:
        restarts = 0
        while True:
            began = time.monotonic()
            status = self._run_child(restarts)
            if status is None:
                return None
            code, may_restart = status
            if code >= 0:
                return code
            died_of = signal.Signals(-code)
            if self.asked and died_of is signal.SIGKILL:
                self.clean_up()
                return 128 + self.asked
            if self.asked or died_of not in CRASHES or not may_restart or restarts == MOST_RESTARTS:
                return 128 + died_of
            restarts += 1
            self.set_up_logs()
            log.error(
                "the process died of %s after %.0f s; it is started again and continues (restart %d of at most %d)",
                *(died_of.name, time.monotonic() - began, restarts, MOST_RESTARTS),
            )

    def _run_child(self, restarts: int) -> tuple[int, bool] | None:
        """Return the exit code of a child, negative for a signal, and whether it allowed a restart; None in it."""
        told, tells = os.pipe()
        lives, held = os.pipe()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
        child = os.fork()
        if not child:
            os.close(told)
            os.close(held)
            _child.tells, _child.restarts = tells, restarts
            stopping.tie_to(lives)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return None
        os.close(tells)
        os.close(lives)
        self.child = child
        heard = [one for one in (*FORWARDED, signal.SIGALRM) if signal.getsignal(one) is not signal.SIG_IGN]
        handlers = {one: signal.signal(one, self._forward) for one in heard}
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            _, status = os.waitpid(child, 0)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for one, handler in handlers.items():
                signal.signal(one, signal.SIG_IGN if self.asked else handler)
            os.close(held)
        code = os.waitstatus_to_exitcode(status)
        said = os.read(told, 1)
        os.close(told)
        return code, bool(said)

    def _forward(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGALRM:
            os.kill(self.child, signal.SIGKILL)
            return
        if not self.asked:
            self.asked = number
            signal.setitimer(signal.ITIMER_REAL, STOP_S)
        os.kill(self.child, number)

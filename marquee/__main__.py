"""``marquee`` and ``python -m marquee``: start the command, which is in ``jobs.cli``."""

import gc
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from types import FrameType

from marquee.beside import ROOT, import_jobs
from marquee.errors import INTERRUPTED, ConfigError, MarqueeError


def main() -> int:
    """Do what the command line says; return the exit code."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for some takes longer than all of help
    gc.disable()  # modules make no garbage while they are loaded, and looking for it is a tenth of the start
    try:
        return _find_command()()
    except MarqueeError as error:
        sys.stderr.write(f"marquee: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


def _find_command() -> Callable[[], int]:
    """Return the function of the command, found by name: the library imports nothing of ``jobs``.

    Ctrl-C ends the program at once while modules are loaded, for some would print it and go on.
    """
    handled = signal.getsignal(signal.SIGINT)
    if handled is signal.default_int_handler:  # else whoever started us wants Ctrl-C ignored
        signal.signal(signal.SIGINT, _end)
    try:
        import_jobs()
        command: Callable[[], int] = import_module("jobs.cli.__main__").main
    except ModuleNotFoundError as error:
        if error.name not in {"jobs.cli", "jobs.cli.__main__"}:
            raise
        message = f"the package 'jobs' in {ROOT} has no {error.name}, and so is not Marquee's: install marquee again"
        raise ConfigError(message) from None
    signal.signal(signal.SIGINT, handled)
    return command


def _end(_signal: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())

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
    """Run the command line; return the exit code."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # discovery takes longer than the whole help
    gc.disable()  # loading modules makes no garbage; collecting takes a tenth of the start
    try:
        return _find_command()()
    except MarqueeError as error:
        sys.stderr.write(f"marquee: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


def _find_command() -> Callable[[], int]:
    """Return the function of the command. It is found by name, because the library imports nothing of ``jobs``.

    While modules load, Ctrl-C ends the program at once, because some modules print KeyboardInterrupt and continue.
    """
    handled = signal.getsignal(signal.SIGINT)
    if handled is signal.default_int_handler:  # otherwise the parent process wants Ctrl-C ignored
        signal.signal(signal.SIGINT, _end)
    try:
        import_jobs()
        command: Callable[[], int] = import_module("jobs.cli.__main__").main
    except ModuleNotFoundError as error:
        if error.name not in {"jobs.cli", "jobs.cli.__main__"}:
            raise
        message = f"The package 'jobs' in {ROOT} has no module {error.name}: it is not Marquee's. Install marquee again"
        raise ConfigError(message) from None
    signal.signal(signal.SIGINT, handled)
    return command


def _end(_signal: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())

"""Standard output for people."""

import os
import sys
from typing import TYPE_CHECKING

from marquee.neutral import neutral_lines

if TYPE_CHECKING:
    from rich.console import Console

UNBOUNDED = 10_000
"""Width in characters when output is not a terminal, so that lines are not folded."""
_TERMINAL = ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Variables that make rich treat a pipe like a terminal."""


def console() -> "Console":
    """Return standard output as a console with the width of the terminal, or of COLUMNS."""
    from rich.console import Console  # noqa: PLC0415 - slow

    class _Console(Console):
        def on_broken_pipe(self) -> None:
            """Raise the error, which the caller handles for all formats. By default rich ends the program."""
            raise BrokenPipeError

    bounded = sys.stdout.isatty() or "COLUMNS" in os.environ
    return _Console(width=None if bounded else UNBOUNDED, highlight=False)


def say(text: str, style: str = "") -> None:
    """Print text without markup, folded between words."""
    plain = neutral_lines(text)
    if _is_pipe() and "\t" not in plain and len(plain) * 2 < UNBOUNDED:  # as rich would print it
        sys.stdout.write(f"{plain}\n")
        sys.stdout.flush()
        return
    from rich.text import Text  # noqa: PLC0415

    console().print(Text(plain, style))


def say_command(text: str) -> None:
    """Print a command in one line of any length. Only the terminal folds it, so it can be copied."""
    from rich.text import Text  # noqa: PLC0415

    console().print(Text(neutral_lines(text), "bold"), soft_wrap=True)


def _is_pipe() -> bool:
    return not sys.stdout.isatty() and not any(name in os.environ for name in _TERMINAL)

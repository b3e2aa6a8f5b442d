"""Standard output for people."""

import os
import sys

from rich.console import Console
from rich.text import Text

UNBOUNDED = 10_000
"""Width in characters when output is not a terminal, so that lines are not folded."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise the error, which the caller handles for all formats. By default rich ends the program."""
        raise BrokenPipeError


def console() -> Console:
    """Return standard output as a console with the width of the terminal, or of COLUMNS."""
    bounded = sys.stdout.isatty() or "COLUMNS" in os.environ
    return _Console(width=None if bounded else UNBOUNDED, highlight=False)


def say(text: str, style: str = "") -> None:
    """Print text without markup, folded between words."""
    console().print(Text(text, style))


def say_command(text: str) -> None:
    """Print a command in one line of any length. Only the terminal folds it, so it can be copied."""
    console().print(Text(text, "bold"), soft_wrap=True)

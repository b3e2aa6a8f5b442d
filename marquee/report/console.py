"""Standard output as a person sees it."""

import os
import sys

from rich.console import Console
from rich.text import Text

UNBOUNDED = 10_000
"""Width, in characters, where output is no terminal: lines are as long as they need be."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to who called, who has to do with it for JSON and CSV too; rich would end the program."""
        raise BrokenPipeError


def console() -> Console:
    """Return standard output as a console, as wide as the terminal, or as COLUMNS says."""
    bounded = sys.stdout.isatty() or "COLUMNS" in os.environ
    return _Console(width=None if bounded else UNBOUNDED, highlight=False)


def say(text: str, style: str = "") -> None:
    """Print text as it is, folded between words."""
    console().print(Text(text, style))


def say_command(text: str) -> None:
    """Print a command in one line, however long: folded by the terminal alone, it can be copied."""
    console().print(Text(text, "bold"), soft_wrap=True)

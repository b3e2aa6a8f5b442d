"""The errors a stage may end with, each with the exit code a scheduler acts on.

Codes follow sysexits.h where it has a fitting one: 65 EX_DATAERR, 70 EX_SOFTWARE, 75 EX_TEMPFAIL, 78 EX_CONFIG; 76 is
ours.
"""

import traceback
from pathlib import Path
from typing import ClassVar, Literal

DONE = 0
USAGE = 2  # argparse's own
INTERNAL = 70
PIPE_CLOSED = 141  # 128 + SIGPIPE, what a shell reports of a process that wrote to nobody
INTERRUPTED = 130  # 128 + SIGINT, what a shell reports of a process that ended on Ctrl-C
OURS = (Path(__file__).parent, Path(__file__).parents[1] / "jobs")
"""Where our own code is."""

TERMINATED = 143  # 128 + SIGTERM, what a shell reports of a process that ended on that signal

Kind = Literal["bad input", "internal", "try again", "lost to another run", "configuration"]


class MarqueeError(Exception):
    """A failure with a message for a person: what was wrong, where, what was expected, what to do."""

    exit_code: ClassVar[int] = INTERNAL
    kind: ClassVar[Kind] = "internal"


class BadInputError(MarqueeError):
    """The input is wrong beyond the threshold; running again without a change of the input fails again."""

    exit_code = 65
    kind = "bad input"


class TryAgainError(MarqueeError):
    """Something outside failed for now (network, store, database); running again may succeed."""

    exit_code = 75
    kind = "try again"


class LostRaceError(MarqueeError):
    """Another run published this period first; its result stands and this run's objects are garbage."""

    exit_code = 76
    kind = "lost to another run"


class ConfigError(MarqueeError):
    """A setting is missing or wrong; found before any work."""

    exit_code = 78
    kind = "configuration"


class CorruptLakeError(MarqueeError):
    """An object in the lake is not what its manifest says."""


# What a run of several periods ends with: the code that most needs a person comes first.
SEVERITY = (ConfigError.exit_code, INTERNAL, BadInputError.exit_code, LostRaceError.exit_code, TryAgainError.exit_code)


def worst(codes: list[int]) -> int:
    """Return the exit code of a run whose periods ended with ``codes`` (0 for none)."""
    return next((code for code in SEVERITY if code in codes), DONE)


def describe_foreign(error: Exception) -> str:
    """Return the class and the place of an error that is not ours. Not its text, which may hold data."""
    return f"{type(error).__module__}.{type(error).__qualname__} at {_place(error)}: MARQUEE_LOG__LEVEL=debug tells all"


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if any(map(Path(frame.filename).is_relative_to, OURS))]
    for at in reversed(ours or frames):
        return f"{Path(at.filename).name}:{at.lineno} in {at.name}"
    return "an unknown place"

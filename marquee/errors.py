"""The errors that end a stage, each with the exit code for schedulers.

Codes follow sysexits.h where it has a suitable one: 65 EX_DATAERR, 70 EX_SOFTWARE, 75 EX_TEMPFAIL, 78 EX_CONFIG. Code
76 (lost to another run) is Marquee's own.
"""

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

DONE = 0
USAGE = 2  # argparse's own
INTERNAL = 70
PIPE_CLOSED = 141  # 128 + SIGPIPE, which a shell reports for a process that wrote to a closed pipe
INTERRUPTED = 130  # 128 + SIGINT, which a shell reports for a process that Ctrl-C ended
OURS = (Path(__file__).parent, Path(__file__).parents[1] / "jobs")
"""Folders of Marquee's own code."""

TERMINATED = 143  # 128 + SIGTERM, which a shell reports for a process that SIGTERM ended

Kind = Literal["bad input", "internal", "try again", "lost to another run", "configuration"]


class MarqueeError(Exception):
    """A failure whose message says what was wrong, where, what was expected, and what to do."""

    exit_code: ClassVar[int] = INTERNAL
    kind: ClassVar[Kind] = "internal"
    lines: tuple[str, ...] = ()
    """Lines of the message after the first one. Logs show each on a line of its own, and no other line breaks."""


class BadInputError(MarqueeError):
    """The input has more errors than the threshold allows; running again on the same input fails again."""

    exit_code = 65
    kind = "bad input"


class TryAgainError(MarqueeError):
    """Something outside failed temporarily (network, store, database); a retry may succeed."""

    exit_code = 75
    kind = "try again"


class EngineGoneError(TryAgainError):
    """The engine has stopped, so no further period can be made; it is no failure of the period that meets it."""


class LostRaceError(MarqueeError):
    """Another run published this period first; its result is in force, and this run's objects are garbage."""

    exit_code = 76
    kind = "lost to another run"


class ConfigError(MarqueeError):
    """A setting is missing or wrong; raised before any work."""

    exit_code = 78
    kind = "configuration"


class CorruptLakeError(MarqueeError):
    """An object in the lake differs from its manifest."""


class NewerLakeError(MarqueeError):
    """A later version of Marquee wrote the lake. Every command ends, because this version would undo its work."""


# Exit codes for a run of several periods: the code that most needs attention comes first.
SEVERITY = (ConfigError.exit_code, INTERNAL, BadInputError.exit_code, LostRaceError.exit_code, TryAgainError.exit_code)


def worst(codes: list[int]) -> int:
    """Return the exit code of a run whose periods ended with ``codes`` (0 for none)."""
    return next((code for code in SEVERITY if code in codes), DONE)


def in_words(reasons: Mapping[str, int]) -> str:
    """Return counts by reason as text, most frequent first, such as ``not_json 60, country 2``."""
    return ", ".join(
        f"{reason} {count}" for reason, count in sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    )


def describe_foreign(error: Exception) -> str:
    """Return the class and the place of an error that is not Marquee's, without its text, which may hold data."""
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    return f"{kind} at {_place(error)}. Set MARQUEE_LOG__LEVEL=debug for the traceback"


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if any(map(Path(frame.filename).is_relative_to, OURS))]
    for at in reversed(ours or frames):
        return f"{Path(at.filename).name}:{at.lineno} in {at.name}"
    return "an unknown place"

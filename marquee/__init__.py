"""Marquee: audience answers from play events and a programme schedule.

The names below are the Python API for notebooks and scripts; docs/notebooks.md shows an example of each. Everything
else is internal and may change with any version. Importing the package loads nothing; each name loads on first use.
"""

import importlib

from marquee.version import __version__

TYPE_CHECKING = False  # for type checkers, the same as typing's; importing typing would double the cost
if TYPE_CHECKING:
    from marquee import errors
    from marquee.api import Lake, Mart, PeriodStatus, open_lake, open_mart, questions
    from marquee.mart.questions import Question

__all__ = [
    "Lake",
    "Mart",
    "PeriodStatus",
    "Question",
    "__version__",
    "errors",
    "open_lake",
    "open_mart",
    "questions",
]


if not TYPE_CHECKING:  # type checkers know the names from above, and report misspelt ones

    def __getattr__(name: str) -> object:
        if name not in __all__:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        if name == "errors":
            return importlib.import_module("marquee.errors")
        return getattr(importlib.import_module("marquee.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

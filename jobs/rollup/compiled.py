"""Tells whether the compiled modules of the rollup can be used here. Planning asks it, too."""

from marquee import compiled

MODULES = ("jobs.rollup.native", "jobs.rollup.columns_native")


def why_not_compiled() -> str | None:
    """Return why the compiled modules cannot be used; None if they can."""
    return compiled.why_not_compiled(*MODULES)

"""Tells whether the compiled modules can be used here; they are optional (hatch_build.py builds them).

Nothing heavy is imported: planning asks it, too.
"""

import zlib
from functools import cache
from importlib import import_module
from pathlib import Path

REMEDY = (
    "Install a C compiler and Python's headers (Debian: apt-get install gcc python3-dev), and install Marquee again"
)


MODULES = ("native", "columns_native")


@cache
def why_not_compiled() -> str | None:
    """Return why the compiled modules cannot be used; None if they can."""
    for name in MODULES:
        try:
            module = import_module(f"jobs.rollup.{name}")
        except ImportError as error:
            return f"the compiled modules are not installed ({error})"
        source = Path(__file__).with_name(f"{name}.pyx")
        if source.exists() and zlib.crc32(source.read_bytes()) != module.SOURCE:
            return "the compiled modules are of another version of their sources"
    return None

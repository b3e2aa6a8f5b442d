"""Tells whether compiled modules can be used here; they are optional (hatch_build.py builds them).

Nothing heavy is imported: planning asks it, too.
"""

import zlib
from functools import cache
from importlib import import_module
from pathlib import Path

REMEDY = (
    "Install a C compiler and Python's headers (Debian: apt-get install gcc python3-dev), and install Marquee again"
)


@cache
def why_not_compiled(*names: str) -> str | None:
    """Return why one of the compiled modules cannot be used; None if all can."""
    for name in names:
        try:
            module = import_module(name)
        except ImportError as error:
            return f"the compiled modules are not installed ({error})"
        source = Path(str(module.__file__)).with_name(f"{name.rpartition('.')[2]}.pyx")
        if source.exists() and zlib.crc32(source.read_bytes()) != module.SOURCE:
            return "the compiled modules are of another version of their sources"
    return None

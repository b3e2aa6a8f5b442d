"""Imports Marquee's own package ``jobs``, even if another ``jobs`` comes first in the search path.

``jobs`` is a common name of a folder. Where Python searches such a folder first (``python -m`` in it, PYTHONPATH),
``import jobs`` would find the wrong package. The search path itself does not change: a folder of installed packages
ahead of the standard library would hide parts of it.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

from marquee.errors import ConfigError

ROOT = Path(__file__).parents[1]
"""The folder that contains both packages, ``marquee`` and ``jobs``."""


def import_jobs() -> None:
    """Import ``jobs`` from the folder of this package. ConfigError if it is missing, or another ``jobs`` is loaded."""
    spec = PathFinder.find_spec("jobs", [str(ROOT)])
    if spec is None or spec.loader is None or spec.origin is None:
        message = f"{ROOT} has no package 'jobs', which holds Marquee's commands and stages. Install marquee again"
        raise ConfigError(message)
    known = sys.modules.get("jobs")
    if known is None:
        sys.modules["jobs"] = module = module_from_spec(spec)
        spec.loader.exec_module(module)
    elif getattr(known, "__file__", None) != spec.origin:
        where = getattr(known, "__file__", None) or "a folder without an __init__.py"
        message = f"Another package 'jobs' is loaded from {where}, expected {spec.origin}. Use a Python without it"
        raise ConfigError(message)

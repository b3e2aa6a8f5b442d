"""The package ``jobs`` that is installed beside this one, whatever other ``jobs`` the path has.

``jobs`` is a usual name for a folder of somebody's own. Where Python looks into such a folder first (``python -m`` in
it, PYTHONPATH), ``import jobs`` would find theirs. Nothing is changed in the path itself: a folder of packages in front
of the standard library would hide parts of it.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

from marquee.errors import ConfigError

ROOT = Path(__file__).parents[1]
"""The folder of both packages."""


def import_jobs() -> None:
    """Make ``jobs`` mean the package beside this one from now on. ConfigError where that is impossible."""
    spec = PathFinder.find_spec("jobs", [str(ROOT)])
    if spec is None or spec.loader is None or spec.origin is None:
        message = f"{ROOT} has no package 'jobs', where Marquee's commands and stages are: install marquee again"
        raise ConfigError(message)
    known = sys.modules.get("jobs")
    if known is None:
        sys.modules["jobs"] = module = module_from_spec(spec)
        spec.loader.exec_module(module)
    elif getattr(known, "__file__", None) != spec.origin:
        where = getattr(known, "__file__", None) or "a folder without an __init__.py"
        message = f"'jobs' is another package here already ({where}): expected {spec.origin}. Use a Python without it"
        raise ConfigError(message)

"""A cache that lasts from one command to the next, for values that depend on their key alone.

It keeps one JSON file for each kind of value in the user's cache folder. You can delete the files at any time; the
values are then computed again. The same happens where a file cannot be read or written.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from marquee.version import __version__

KEPT = 500
"""Maximum number of entries in a file; the oldest entries are dropped first."""


def remember(kind: str, key: str, derive: Callable[[], Any]) -> Any:  # noqa: ANN401 - any JSON value
    """Return the cached JSON value of a key, or compute it with ``derive`` and cache it."""
    file = _folder() / f"{kind}.json"
    entries = _read(file)
    versioned = f"{__version__} {key}"
    if versioned not in entries:
        entries[versioned] = derive()
        _write(file, dict(list(entries.items())[-KEPT:]))
    return entries[versioned]


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "marquee"


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: Path, entries: dict[str, Any]) -> None:
    hidden = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        hidden.write_text(json.dumps(entries), encoding="utf-8")
        hidden.replace(file)
    except OSError:
        with suppress(OSError):
            hidden.unlink()

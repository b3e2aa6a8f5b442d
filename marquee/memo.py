"""Remembers, from one command to the next, what is costly to derive again and follows from a key alone.

A file of JSON for each kind of thing, in the user's cache folder. It may be deleted at any time: that costs time and
nothing else. Where it cannot be read or written, everything is derived again.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from marquee.version import __version__

KEPT = 500
"""Entries of a file; beyond it the oldest go."""


def remember(kind: str, key: str, derive: Callable[[], Any]) -> Any:  # noqa: ANN401 - any JSON value
    """Return the JSON value of a key: the one that was derived before, else what ``derive`` returns."""
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

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

KEPT = 1000
"""Maximum number of entries of a file. Beyond it, the oldest are dropped."""

_loaded: dict[Path, dict[str, Any]] = {}
"""The entries of each file that this process has read, so that a file is read once."""


def remember(kind: str, key: str, derive: Callable[[], Any], kept: int = KEPT) -> Any:  # noqa: ANN401 - any JSON value
    """Return the JSON value of a key: the remembered one, else what ``derive`` returns. At most ``kept`` stay."""
    file = _folder() / f"{kind}.json"
    if file not in _loaded:
        _loaded[file] = _read(file)
    entries, versioned = _loaded[file], f"{__version__} {key}"
    if versioned in entries:
        return entries[versioned]
    value = derive()
    _loaded[file] = dict([*entries.items(), (versioned, value)][-kept:])
    if not _write(file, _loaded[file]):
        del _loaded[file]
    return value


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "marquee"


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: Path, entries: dict[str, Any]) -> bool:
    hidden = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        hidden.write_text(json.dumps(entries), encoding="utf-8")
        hidden.replace(file)
    except OSError:
        with suppress(OSError):
            hidden.unlink()
        return False
    return True

"""Errors of the operating system about files, in words: what they mean for a run, where, and for which user.

Missing rights are a matter of the settings (78); a full disk passes once somebody makes room (75).
"""

import errno
import os
import pwd
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marquee.errors import ConfigError, MarqueeError, TryAgainError

_NO_ROOM = {
    errno.ENOSPC: "the disk is full: make room, and run again",
    errno.EDQUOT: "the disk quota of {user} is used up: make room, or have the quota raised, and run again",
}
_BROKEN = {
    errno.EIO: "the disk, or the network drive, failed: check it, and run again",
    errno.ESTALE: "the network drive has lost this file: mount it again, and run again",
}
_REFUSED = {
    errno.EACCES: "{user} has no permission: grant it, or name another folder in the settings",
    errno.EPERM: "{user} is not permitted to: grant it, or name another folder in the settings",
    errno.EROFS: "the file system is read-only: mount it for writing, or name another folder in the settings",
    errno.ENOTDIR: "a part of this path is a file: expected folders",
    errno.EEXIST: "a part of this path is a file: expected folders",
    errno.EISDIR: "this is a folder: expected a file",
    errno.ENAMETOOLONG: "the file system takes no name as long as this: choose a shorter one",
    errno.ELOOP: "the links in this path lead back to themselves: mend them",
}
_DUCKDB = {"duckdb", "_duckdb"}
_NO_ROOM_TO_SPILL = "max_temp_directory_size"
"""DuckDB names this setting when the disk has no room for what it spills: its limit is what the disk has."""


def explain(error: BaseException, path: Path | str | None = None, doing: str = "use") -> MarqueeError | None:
    """Return the error to raise in place of one of the operating system or, through DuckDB, of a file.

    Args:
        error: any error.
        path: what could not be used; when left out, what the error names, or the scratch folder if there is no room.
        doing: what was being done with it: read, write, list, delete.

    Returns:
        None for an error that is not about files, or that says nothing a person could act on.
    """
    number = _number_of(error)
    where = path or getattr(error, "filename", None)
    if where is None and number in _NO_ROOM:  # whoever writes elsewhere says where
        where = tempfile.gettempdir()
    if number is None or where is None:
        return None
    said = os.strerror(number)
    for kind, meanings in ((TryAgainError, _NO_ROOM | _BROKEN), (ConfigError, _REFUSED)):
        if number in meanings:
            todo = meanings[number].format(user=user_name())
            return kind(f"cannot {doing} {where} ({said}): {todo}")
    return None


@contextmanager
def explained(path: Path | str, doing: str) -> Iterator[None]:
    """Have errors of the system about a file, or through DuckDB, raised in words that say what to do."""
    try:
        yield
    except Exception as error:
        known = explain(error, path, doing)
        if known is None:
            raise
        raise known from error


def user_name() -> str:
    """Return the user as whom this process uses files."""
    number = os.geteuid()
    try:
        return f"user {pwd.getpwuid(number).pw_name} (uid {number})"
    except KeyError:  # as in a container, for whose users nobody made an entry
        return f"uid {number}"


def _number_of(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    if type(error).__module__.partition(".")[0] not in _DUCKDB:
        return None
    text = str(error)  # DuckDB keeps the words of the system alone
    if _NO_ROOM_TO_SPILL in text:
        return errno.ENOSPC
    return next((number for number in (*_NO_ROOM, *_BROKEN, *_REFUSED) if os.strerror(number) in text), None)

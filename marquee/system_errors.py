"""Translates the operating system's errors about files into Marquee's: what failed, where, for which user, what to do.

Missing permissions are a configuration error (78). A full disk is temporary (75).
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
    errno.ENOSPC: "the disk is full. Free some space, and run again",
    errno.EDQUOT: "the disk quota of {user} is used up. Free some space or raise the quota, and run again",
}
_BROKEN = {
    errno.EIO: "the disk or network drive failed. Check it, and run again",
    errno.ESTALE: "the network drive has lost this file. Mount it again, and run again",
}
_REFUSED = {
    errno.EACCES: "{user} has no permission. Grant it, or set another folder in the settings",
    errno.EPERM: "{user} has no permission. Grant it, or set another folder in the settings",
    errno.EROFS: "the file system is read-only. Mount it for writing, or set another folder in the settings",
    errno.ENOTDIR: "a part of this path is a file. Use a path of folders",
    errno.EEXIST: "a part of this path is a file. Use a path of folders",
    errno.EISDIR: "this is a folder. Use the path of a file",
    errno.ENAMETOOLONG: "the name is too long for the file system. Use a shorter one",
    errno.ELOOP: "the symbolic links in this path form a loop. Remove the loop",
}
_DUCKDB = {"duckdb", "_duckdb"}
_NO_ROOM_TO_SPILL = "max_temp_directory_size"
"""DuckDB names this setting when the disk has no space for its spill files: the disk's free space is its limit."""


def explain(error: BaseException, path: Path | str | None = None, doing: str = "use") -> MarqueeError | None:
    """Return the Marquee error for an error of the operating system about a file, also one that DuckDB reports.

    Args:
        error: any error.
        path: the file or folder. Default: the one that the error names, or the scratch folder if the disk is full.
        doing: the operation that failed: read, write, list, delete.

    Returns:
        None for an error that is not about files, or that the user cannot act on.
    """
    number = _number_of(error)
    where = path or getattr(error, "filename", None)
    if where is None and number in _NO_ROOM:  # code that writes to another folder passes its path
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
    """Translate errors of the operating system about a file, also those that DuckDB reports, while the body runs."""
    try:
        yield
    except Exception as error:
        known = explain(error, path, doing)
        if known is None:
            raise
        raise known from error


def user_name() -> str:
    """Return the name and id of the user that owns this process."""
    number = os.geteuid()
    try:
        return f"user {pwd.getpwuid(number).pw_name} (uid {number})"
    except KeyError:  # as in a container, whose user has no entry in /etc/passwd
        return f"uid {number}"


def _number_of(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    if type(error).__module__.partition(".")[0] not in _DUCKDB:
        return None
    text = str(error)  # DuckDB keeps only the text of the system's error
    if _NO_ROOM_TO_SPILL in text:
        return errno.ENOSPC
    return next((number for number in (*_NO_ROOM, *_BROKEN, *_REFUSED) if os.strerror(number) in text), None)

"""Archives whose bytes depend on their contents alone: entries are sorted, and have one time and no owners' names."""

import gzip
import io
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

XATTR = "SCHILY.xattr."


def normalised(member: tarfile.TarInfo, epoch: int) -> tarfile.TarInfo:
    """Return an entry without what differs between builds; extended attributes, such as capabilities, stay."""
    member.mtime = epoch
    member.uname = member.gname = ""
    member.pax_headers = {name: value for name, value in member.pax_headers.items() if name.startswith(XATTR)}
    return member


def rewrite_tar(source: Path, target: Path, epoch: int) -> None:
    """Write the entries of a tar in order, with one time. Hard links come last, after what they link to."""
    with tarfile.open(source) as old, tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda one: (one.islnk(), one.name.split("/"))):
            content = old.extractfile(member) if member.isreg() else None
            new.addfile(normalised(member, epoch), content)


def write_tar(target: IO[bytes], files: Iterable[tuple[str, bytes | Path]], epoch: int) -> None:
    """Write files, given by name as their bytes or as the file that has them, in order of their names."""
    with tarfile.open(fileobj=target, mode="w:", format=tarfile.PAX_FORMAT) as archive:
        for name, content in sorted(files, key=lambda one: one[0]):
            member = normalised(tarfile.TarInfo(name), epoch)
            if isinstance(content, bytes):
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
                continue
            member.size = content.stat().st_size
            with content.open("rb") as stream:
                archive.addfile(member, stream)


def open_member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """Open a file of an archive of an image; ValueError if the entry is no file."""
    stream = archive.extractfile(name)
    if stream is None:
        message = f"{name} is no file; expected the archive of an image"
        raise ValueError(message)
    return stream


def blob_path(digest: str) -> str:
    """Return the name of a blob in an OCI layout."""
    return f"blobs/{digest.replace(':', '/')}"


def compress(source: IO[bytes], target: Path) -> None:
    """Write a gzip file that has neither a time nor a name in it."""
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
    ):
        shutil.copyfileobj(source, packed, 1 << 20)

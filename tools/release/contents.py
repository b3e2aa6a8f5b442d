"""What is in an image: the files of the layers of its OCI archive, each as the last layer left it."""

import json
import posixpath
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isal import igzip

from tools.release.archive import blob_path, open_member

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"


@dataclass(frozen=True)
class File:
    """An entry of the file system: its metadata, and the layer that has it."""

    member: tarfile.TarInfo
    layer: tarfile.TarFile


@dataclass(frozen=True)
class Contents:
    """An image: digest of its manifest, configuration, and entries by path, without a slash in front."""

    digest: str
    config: dict[str, Any]
    files: dict[str, File]

    def read(self, path: str) -> bytes:
        """Return the content of a file, through links."""
        for _ in range(20):
            file = self.files[path]
            if file.member.issym():
                path = posixpath.normpath(posixpath.join(posixpath.dirname(path), file.member.linkname)).lstrip("/")
                continue
            stream = file.layer.extractfile(file.member)
            if stream is None:
                break
            return stream.read()
        message = f"{path} in the image is no file"
        raise ValueError(message)

    def size(self) -> int:
        """Return the bytes of all files; a hard link has none."""
        return sum(file.member.size for file in self.files.values() if file.member.isreg())


@contextmanager
def open_image(path: Path) -> Iterator[Contents]:
    """Open an OCI archive of one image."""
    with ExitStack() as stack:
        archive = stack.enter_context(tarfile.open(path))
        digest = json.loads(open_member(archive, "index.json").read())["manifests"][0]["digest"]
        manifest = json.loads(open_member(archive, blob_path(digest)).read())
        config = json.loads(open_member(archive, blob_path(manifest["config"]["digest"])).read())
        files: dict[str, File] = {}
        for one in manifest["layers"]:
            unpacked = stack.enter_context(tempfile.TemporaryFile())
            packed = open_member(archive, blob_path(one["digest"]))
            with igzip.GzipFile(fileobj=packed) as stream:  # type: ignore[no-untyped-call] # isal's stubs
                shutil.copyfileobj(stream, unpacked, 1 << 20)
            unpacked.seek(0)
            add_layer(files, stack.enter_context(tarfile.open(fileobj=unpacked)))
        yield Contents(digest, config, files)


def add_layer(files: dict[str, File], layer: tarfile.TarFile) -> None:
    """Lay a layer over the files of those below it: first what it takes away, then what it has."""
    members = [(posixpath.normpath(member.name), member) for member in layer.getmembers()]
    for name, _ in members:
        folder, base = posixpath.split(name)
        if base == OPAQUE:
            _remove(files, folder, itself=False)
        elif base.startswith(WHITEOUT):
            _remove(files, posixpath.join(folder, base.removeprefix(WHITEOUT)), itself=True)
    for name, member in members:
        if not posixpath.basename(name).startswith(WHITEOUT):
            files[name] = File(member, layer)


def _remove(files: dict[str, File], path: str, *, itself: bool) -> None:
    for name in [name for name in files if name.startswith(f"{path}/") or (itself and name == path)]:
        del files[name]

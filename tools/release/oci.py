"""OCI archives of images: what ``docker save`` writes, with the same bytes for the same contents.

An archive is a tar of an OCI layout (https://github.com/opencontainers/image-spec), which skopeo, containerd and podman
read, with the ``manifest.json`` that ``docker load`` reads. Layers are gzip files, times are one time, and the image's
digest is that of its manifest: a registry that the archive is copied to keeps it.
"""

import hashlib
import json
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.release.archive import blob_path, compress, open_member, rewrite_tar, write_tar

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
KEPT = ("architecture", "config", "os", "rootfs", "variant")
"""What an OCI configuration has of Docker's, besides its times and history."""
OF_THE_MAKING = ("Image", "Hostname", "Domainname")
"""What Docker's configuration says of containers that built the image."""


@dataclass(frozen=True)
class Blob:
    """A file of the layout, by its digest."""

    digest: str
    size: int

    @property
    def path(self) -> str:
        """Its name in the layout."""
        return blob_path(self.digest)

    def descriptor(self, media_type: str, **more: object) -> dict[str, object]:
        """Return what refers to it."""
        return {"mediaType": media_type, "digest": self.digest, "size": self.size, **more}


@dataclass(frozen=True)
class Layer:
    """A layer, and the digest of its tar before compression."""

    blob: Blob
    diff_id: str


@dataclass(frozen=True)
class Made:
    """An archive that was made."""

    path: Path
    digest: str


class Layouts:
    """Makes archives in a folder; a layer of several images is written once.

    Args:
        docker: Docker's client.
        scratch: an empty folder.
        epoch: the one time, in seconds.
    """

    def __init__(self, docker: str, scratch: Path, epoch: int) -> None:
        self._docker, self._scratch, self._epoch = docker, scratch, epoch
        self._layers: dict[str, Layer] = {}

    def make(self, image: str, target: Path) -> Made:
        """Write the archive of an image of the engine."""
        saved = self._scratch / "saved.tar"
        with saved.open("wb") as stream:
            subprocess.run([self._docker, "save", image], check=True, stdout=stream)
        with tarfile.open(saved) as archive:
            (listed,) = json.loads(open_member(archive, "manifest.json").read())
            config = json.loads(open_member(archive, listed["Config"]).read())
            pairs = zip(config["rootfs"]["diff_ids"], listed["Layers"], strict=True)
            layers = [self._layer(archive, diff_id, name) for diff_id, name in pairs]
        saved.unlink()
        return self._write(image, oci_config(config, [one.diff_id for one in layers], self._epoch), layers, target)

    def _layer(self, archive: tarfile.TarFile, diff_id: str, name: str) -> Layer:
        if diff_id not in self._layers:
            old, new, packed = (self._scratch / part for part in ("old.tar", "new.tar", "new.tar.gz"))
            with old.open("wb") as unpacked:
                shutil.copyfileobj(open_member(archive, name), unpacked, 1 << 20)
            rewrite_tar(old, new, self._epoch)
            with new.open("rb") as stream:
                compress(stream, packed)
            blob = Blob(digest_of(packed), packed.stat().st_size)
            self._layers[diff_id] = Layer(blob, digest_of(new))
            packed.rename(self._scratch / blob.digest)
            old.unlink()
            new.unlink()
        return self._layers[diff_id]

    def _write(self, image: str, config: dict[str, Any], layers: list[Layer], target: Path) -> Made:
        labels = config["config"].get("Labels") or {}
        files: dict[str, bytes | Path] = {one.blob.path: self._scratch / one.blob.digest for one in layers}
        configured = _add(files, encode(config))
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": configured.descriptor(CONFIG),
            "layers": [one.blob.descriptor(LAYER) for one in layers],
            "annotations": labels | {"org.opencontainers.image.created": config["created"]},
        }
        made = _add(files, encode(manifest))
        tag = image.rpartition(":")[2]
        files |= layout_files(made, image, tag)
        names = [one.blob.path for one in layers]
        files["manifest.json"] = encode([{"Config": configured.path, "Layers": names, "RepoTags": [image]}])
        with target.open("wb") as stream:
            write_tar(stream, files.items(), self._epoch)
        return Made(target, made.digest)


def oci_config(docker: Mapping[str, Any], diff_ids: list[str], epoch: int) -> dict[str, Any]:
    """Return an image's OCI configuration, of Docker's: with one time, and without what it says of its making."""
    created = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = {name: docker[name] for name in KEPT if name in docker}
    config["config"] = {name: value for name, value in docker["config"].items() if name not in OF_THE_MAKING}
    history = [
        {"created": created, **{name: one[name] for name in ("created_by", "comment", "empty_layer") if name in one}}
        for one in docker.get("history", ())
    ]
    return config | {"created": created, "history": history, "rootfs": {"type": "layers", "diff_ids": diff_ids}}


def layout_files(manifest: Blob, image: str, tag: str) -> dict[str, bytes | Path]:
    """Return the two files by which a layout is read."""
    names = {"io.containerd.image.name": image, "org.opencontainers.image.ref.name": tag}
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [manifest.descriptor(MANIFEST, annotations=names)],
    }
    return {"index.json": encode(index), "oci-layout": encode({"imageLayoutVersion": "1.0.0"})}


def encode(value: object) -> bytes:
    """Return JSON with one way to write it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest_of(path: Path) -> str:
    """Return a file's digest, ``sha256:…``."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _add(files: dict[str, bytes | Path], content: bytes) -> Blob:
    blob = Blob(f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))
    files[blob.path] = content
    return blob

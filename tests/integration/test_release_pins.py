"""Digests of public images, asked of registries by a client that stands in for Docker's."""

from pathlib import Path

import pytest

from tools.release.pins import NoRegistryError, newest

DIGEST = f"sha256:{'2' * 64}"


def docker_that(folder: Path, script: str) -> str:
    """Return a client of Docker that runs a script of the shell."""
    client = folder / "docker"
    client.write_text(f'#!/bin/sh\necho "$@" >>{folder}/called\n{script}\n')
    client.chmod(0o755)
    return str(client)


def test_newest_digest_comes_from_a_mirror(tmp_path: Path) -> None:
    """A mirror is asked for the image, and the reference keeps the image's own name."""
    docker = docker_that(tmp_path, f'[ "$1" = pull ] || echo mirror.example.org/hub/debian@{DIGEST}')
    assert newest("debian:12", docker, "mirror.example.org/hub") == f"debian:12@{DIGEST}"
    assert (tmp_path / "called").read_text().startswith("pull --quiet mirror.example.org/hub/debian:12\n")


@pytest.mark.parametrize(
    ("script", "why"),
    [("echo no such host >&2; exit 1", "no such host"), ("true", "without a digest of its registry")],
)
def test_no_registry_is_an_error(script: str, why: str, tmp_path: Path) -> None:
    """A registry that does not answer, or an image that has none, gives no reference."""
    with pytest.raises(NoRegistryError, match=why):
        newest("debian:12", docker_that(tmp_path, script))

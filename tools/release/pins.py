"""The digests of public images that ours start from (Debian) or that a chart names (MariaDB): ``images/pins.txt``.

Docker's client asks the registry, so mirrors and logins are those of this machine. An image that the engine has only by
its tag, such as one that was made here, has no digest to pin.
"""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

PINS = Path("images/pins.txt")
KIOSK = Path("charts/kiosk/values.yaml")


class NoRegistryError(Exception):
    """No registry says the digest of an image."""


def pins(text: str) -> dict[str, str]:
    """Return the reference to use for each image: ``name:tag``, or ``name:tag@sha256:…``."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {line.partition("@")[0]: line for line in lines}


def with_pins(text: str, found: dict[str, str]) -> str:
    """Return a file, pins.txt or values.yaml, with the newest references of the images in it."""
    for image, reference in found.items():
        text = re.sub(rf"{re.escape(image)}(@sha256:[0-9a-f]{{64}})?(?=\s)", reference, text)
    return text


def newest(image: str, docker: str, mirror: str = "") -> str:
    """Return an image's reference with the digest that its registry, or a mirror of it, has for its tag today."""
    asked = f"{mirror}/{image}" if mirror else image
    pull = subprocess.run([docker, "pull", "--quiet", asked], check=False, capture_output=True, text=True)
    if pull.returncode:
        raise NoRegistryError(pull.stderr.strip())
    form = "{{range .RepoDigests}}{{println .}}{{end}}"
    run = subprocess.run(
        [docker, "image", "inspect", "--format", form, asked], check=True, capture_output=True, text=True
    )
    digest = digest_of(asked.rpartition(":")[0], run.stdout.splitlines())
    if digest is None:
        message = f"the engine has {asked} without a digest of its registry"
        raise NoRegistryError(message)
    return f"{image}@{digest}"


def digest_of(repository: str, references: Iterable[str]) -> str | None:
    """Return the digest of a repository; an image has other ones in registries that it was pushed to."""
    of_it = (one.removeprefix(f"{repository}@") for one in references if one.startswith(f"{repository}@"))
    return next(of_it, None)

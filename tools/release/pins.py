"""The digests of public images that ours start from (Debian) or that a chart names (MariaDB): ``images/pins.txt``.

Docker's client asks the registry, so mirrors and logins are those of this machine. An image that the engine has only by
its tag, such as one that was made here, has no digest to pin.
"""

import re
import subprocess
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


def newest(image: str, docker: str) -> str:
    """Return an image's reference with the digest that the registry has for its tag today."""
    pull = subprocess.run([docker, "pull", "--quiet", image], check=False, capture_output=True, text=True)
    if pull.returncode:
        raise NoRegistryError(pull.stderr.strip())
    form = "{{range .RepoDigests}}{{println .}}{{end}}"
    run = subprocess.run(
        [docker, "image", "inspect", "--format", form, image], check=True, capture_output=True, text=True
    )
    digests = re.findall(r"@(sha256:[0-9a-f]{64})$", run.stdout, re.MULTILINE)
    if not digests:
        message = f"the engine has {image} without a registry's digest"
        raise NoRegistryError(message)
    return f"{image}@{digests[0]}"

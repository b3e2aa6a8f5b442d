"""``make renew``: proposes the newest locks and the newest digests of base images, and tests the proposal.

It changes requirements/*.txt, images/pins.txt and the values of the chart kiosk in this clone, prints every change of a
version, and runs the tests. Nothing is committed: review the proposal as you review any change. Exit codes: 0 if the
tests passed or nothing is new, 1 if they failed, 2 if the locks could not be renewed.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.release.packages import locked
from tools.release.pins import KIOSK, PINS, NoRegistryError, newest, pins, with_pins

LOCKS = Path("requirements")
MAKE = (os.environ.get("MAKE", "make"), "--no-print-directory")
TESTS = ("test",)
"""Targets of make that the proposal has to pass."""


def versions(folder: Path) -> dict[str, dict[str, str]]:
    """Return the locked versions of each lock file."""
    return {path.name: locked(path.read_text(encoding="utf-8").splitlines()) for path in sorted(folder.glob("*.txt"))}


def changes(old: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield a line for each package whose version differs, with the lock files in which it does."""
    found: dict[str, list[str]] = {}
    for file in sorted({*old, *new}):
        before, after = old.get(file, {}), new.get(file, {})
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                line = f"{name} {before.get(name, '(new)')} -> {after.get(name, '(gone)')}"
                found.setdefault(line, []).append(file)
    return (f"{line}: {', '.join(files)}" for line, files in sorted(found.items()))


def renewed_pins(docker: str, mirror: str = "") -> list[str]:
    """Write the newest digests of images, and return a line for each; what no registry says stays as it is."""
    lines = []
    for image, reference in pins(PINS.read_text(encoding="utf-8")).items():
        try:
            found = newest(image, docker, mirror)
        except NoRegistryError as error:
            lines.append(f"{image}: NOT RENEWED: {error}")
            continue
        for path in (PINS, KIOSK):
            path.write_text(with_pins(path.read_text(encoding="utf-8"), {image: found}), encoding="utf-8")
        lines.append(f"{reference} -> {found}" if found != reference else f"{found}: is the newest")
    return lines


def main() -> int:
    """Renew, print what changed, and run the tests."""
    parser = argparse.ArgumentParser(prog="python -m tools.release.renew", description="Propose new locks and digests.")
    parser.add_argument("--docker", default="docker", help="Docker's client")
    parser.add_argument("--mirror", default="", help="mirror to ask for the digests, such as mirror.example.org/hub")
    parser.add_argument("--no-tests", action="store_true", help="change the files and run no tests")
    given = parser.parse_args()
    old, pinned = versions(LOCKS), PINS.read_text(encoding="utf-8")
    print(*renewed_pins(given.docker, given.mirror), sep="\n")
    if subprocess.run([*MAKE, "lock", "ARGS=--upgrade"], check=False).returncode:
        print("make renew: the locks could not be renewed; see above", file=sys.stderr)
        return 2
    lines = list(changes(old, versions(LOCKS)))
    print(*lines or ["the locks are the newest"], sep="\n")
    if given.no_tests or (not lines and PINS.read_text(encoding="utf-8") == pinned):
        return 0
    return min(1, subprocess.run([*MAKE, *TESTS], check=False).returncode)


if __name__ == "__main__":
    raise SystemExit(main())

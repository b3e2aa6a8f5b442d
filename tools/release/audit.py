"""``make audit DB=…``: compares what is locked and released with a vulnerability database, without a network.

The database is an export of OSV (https://osv.dev): a zip of JSON files, or a folder of such files and zips. The
ecosystems PyPI and Debian:12 are used. The lock files give the Python packages, and the SBOMs of a release give the
Debian packages. Exit codes: 0 without vulnerabilities, 1 with some, 2 if something could not be checked, such as when
there is no database.
"""

import argparse
import json
import sys
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from marquee.version import __version__
from tools.release import debian_version
from tools.release.packages import locked, normal

LOCKS = Path("requirements")
NOT_SHIPPED = frozenset({"dev", "sail"})
"""Lock files of no image, and of no installation."""
ACCEPTED = Path(__file__).with_name("accepted.txt")
DIST = Path("dist/release")
PYPI, DEBIAN = "PyPI", "Debian:12"

Entry = Mapping[str, Any]
"""An entry of OSV, as its schema says."""
Place = tuple[str, str]
"""An ecosystem, and the name of a package in it."""


class NoDatabaseError(Exception):
    """There is nothing to compare with."""


@dataclass(frozen=True, order=True)
class Finding:
    """A vulnerability of a package that is locked or released.

    Attributes:
        ident: OSV's name of it.
        aliases: its other names, such as CVE-….
        fixed: the first version without it, or nothing.
        where: lock files and images that have the package.
    """

    ident: str
    name: str
    version: str
    fixed: str
    aliases: tuple[str, ...]
    where: tuple[str, ...]

    def line(self) -> str:
        """Return it for a person."""
        names = ", ".join((self.ident, *self.aliases))
        mended = f"fixed in {self.fixed}" if self.fixed else "not fixed yet"
        return f"{self.name} {self.version}: {names}; {mended}; in {', '.join(self.where)}"


def entries(database: Path) -> Iterator[Entry]:
    """Yield all entries of a database."""
    if not database.exists():
        message = f"{database} does not exist; expected a zip or a folder of OSV's JSON files"
        raise NoDatabaseError(message)
    for path in sorted(database.rglob("*")) if database.is_dir() else [database]:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                yield from (json.loads(archive.read(name)) for name in archive.namelist() if name.endswith(".json"))
        elif path.suffix == ".json":
            yield json.loads(path.read_bytes())


def findings(found: Iterable[Entry], installed: Mapping[tuple[Place, str], Sequence[str]]) -> Iterator[Finding]:
    """Yield the entries that hold for what is installed: versions by place, and where each is."""
    by_place: dict[Place, list[tuple[str, Sequence[str]]]] = defaultdict(list)
    for (place, version), where in installed.items():
        by_place[place].append((version, where))
    for entry in found:
        if "withdrawn" in entry:
            continue
        for affected in entry.get("affected", ()):
            package = affected.get("package", {})
            for version, where in by_place.get(place_of(package), ()):
                if is_affected(version, affected):
                    fixed = fixed_in(version, affected)
                    aliases = tuple(entry.get("aliases") or entry.get("upstream") or ())
                    yield Finding(entry["id"], package["name"], version, fixed, aliases, tuple(where))


def place_of(package: Mapping[str, str]) -> Place:
    """Return the ecosystem and the name of a package in OSV."""
    ecosystem, name = package.get("ecosystem", ""), package.get("name", "")
    return ecosystem, normal(name) if ecosystem == PYPI else name


def is_affected(version: str, affected: Entry) -> bool:
    """Tell whether a version is in the list of an entry, or in one of its ranges."""
    if version in affected.get("versions", ()):
        return True
    order = order_of(affected["package"]["ecosystem"])
    ranges = (one for one in affected.get("ranges", ()) if one["type"] == "ECOSYSTEM")
    return any(_is_in(order(version), one["events"], order) for one in ranges)


def _is_in(version: Any, events: Iterable[Mapping[str, str]], order: Callable[[str], Any]) -> bool:  # noqa: ANN401 - a key
    """Tell whether a version is in a range: the last event at or before it decides."""
    inside = False
    for event in sorted(events, key=lambda one: order(next(iter(one.values())))):
        ((kind, text),) = event.items()
        if kind == "introduced" and order(text) <= version:
            inside = True
        elif (kind == "fixed" and order(text) <= version) or (kind == "last_affected" and order(text) < version):
            inside = False
    return inside


def fixed_in(version: str, affected: Entry) -> str:
    """Return the first version after this one in which it is fixed."""
    order = order_of(affected["package"]["ecosystem"])
    events = (event for one in affected.get("ranges", ()) if one["type"] == "ECOSYSTEM" for event in one["events"])
    later = [event["fixed"] for event in events if "fixed" in event and order(event["fixed"]) > order(version)]
    return min(later, key=order, default="")


def order_of(ecosystem: str) -> Callable[[str], Any]:
    """Return what sorts versions of an ecosystem. OSV's ``0`` is before all of them."""
    sort = python_version if ecosystem == PYPI else debian_version.key
    return lambda version: (version != "0", sort(version))


def python_version(text: str) -> Version:
    """Return a version of PyPI; one from before its rules comes first."""
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0.dev0")


def accepted(text: str, today: date) -> frozenset[str]:
    """Return the vulnerabilities that are accepted: lines of a name, the last day, and the reason."""
    lines = [line.split(maxsplit=2) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return frozenset(ident for ident, until, _ in lines if date.fromisoformat(until) >= today)


def locked_packages(folder: Path) -> dict[tuple[Place, str], list[str]]:
    """Return the locked packages of Python, each with the lock files that have it."""
    found: dict[tuple[Place, str], list[str]] = defaultdict(list)
    for path in sorted(folder.glob("*.txt")):
        if path.stem not in NOT_SHIPPED:
            for name, version in locked(path.read_text(encoding="utf-8").splitlines()).items():
                found[(PYPI, name), version].append(path.name)
    return found


def released_packages(folder: Path) -> dict[tuple[Place, str], list[str]]:
    """Return the source packages of Debian in the SBOMs of a release, each with the images that have it."""
    found: dict[tuple[Place, str], list[str]] = defaultdict(list)
    for path in sorted(folder.glob("*.cdx.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        image = document["metadata"]["component"]["name"]
        for component in document["components"]:
            said = {one["name"]: one["value"] for one in component.get("properties", ())}
            if source := said.get("debian:source"):
                images = found[(DEBIAN, source), said["debian:source-version"]]
                images += [image] if image not in images else []
    return found


def main() -> int:
    """Print the vulnerabilities, and what could not be checked."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.release.audit", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "database", nargs="?", type=Path, help="an export of OSV: a zip, or a folder of JSON files or zips"
    )
    parser.add_argument("--release", type=Path, default=DIST / __version__, help="folder of the release with the SBOMs")
    given = parser.parse_args()
    if given.database is None:
        return not_checked("no database was given: make audit DB=<a zip or folder of OSV's JSON files>")
    installed = locked_packages(LOCKS)
    debian = released_packages(given.release)
    try:
        found = list(entries(given.database))
    except (NoDatabaseError, ValueError, zipfile.BadZipFile) as error:
        return not_checked(str(error))
    return report(found, installed, debian, given.release)


def report(
    found: Sequence[Entry],
    python: Mapping[tuple[Place, str], Sequence[str]],
    debian: Mapping[tuple[Place, str], Sequence[str]],
    release: Path,
) -> int:
    """Print the result of the comparison, and return the exit code."""
    ecosystems = {place_of(one.get("package", {}))[0] for entry in found for one in entry.get("affected", ())}
    gone = accepted(ACCEPTED.read_text(encoding="utf-8"), datetime.now(UTC).date())
    everything = sorted(set(findings(found, {**python, **debian})))
    open_ones = [one for one in everything if gone.isdisjoint({one.ident, *one.aliases})]
    print(*(one.line() for one in open_ones), sep="\n", end="\n" if open_ones else "")
    print(f"{len(open_ones)} vulnerabilities in {len(python)} packages of Python and {len(debian)} of Debian", end="")
    print(f", {len(everything) - len(open_ones)} accepted; the database has {len(found)} entries")
    missing = [f"the database has no entry of {one}" for one in (PYPI, DEBIAN) if one not in ecosystems]
    if not debian:
        missing.append(f"{release} has no SBOMs, so the packages of Debian are unknown: run `make release`")
    codes = [not_checked(one) for one in missing]
    return 1 if open_ones else max(codes, default=0)


def not_checked(why: str) -> int:
    """Print that something was not checked, and return the exit code."""
    print(f"!!! NOT CHECKED: {why}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main())

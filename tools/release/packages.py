"""The packages of an image: Debian's by dpkg's list, Python's by the metadata of their distributions.

A package of Debian counts if it is installed; its licences are those of its copyright file, where that has them in the
machine-readable format. A package of Python has the licence that ``licences.py`` reads from its metadata.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from email.parser import HeaderParser

from tools.release.contents import Contents
from tools.release.licences import licence_of

STATUS = "var/lib/dpkg/status"
DISTRIBUTION = re.compile(r".*/[^/]+\.dist-info/METADATA")
COPYRIGHT_FORMAT = re.compile(r"^Format: *\S*copyright-format/1\.0", re.MULTILINE)


@dataclass(frozen=True, order=True)
class Package:
    """A package of an image.

    Attributes:
        kind: ``deb``, ``pypi``, ``maven`` or ``generic``, as in package URLs.
        source: name of the source package, which Debian's vulnerabilities name; for Python the package itself.
        source_version: its version.
        licences: short names of the copyright file for Debian; for all others one expression of SPDX.
        group: Maven's group.
        classifier: Maven's classifier.
        path: the file or folder that the package is, where it is one.
        sha256: sum of that file.
        parts: packages that are in that file.
    """

    kind: str
    name: str
    version: str
    source: str = ""
    source_version: str = ""
    architecture: str = ""
    section: str = ""
    licences: tuple[str, ...] = field(default=())
    group: str = ""
    classifier: str = ""
    path: str = ""
    sha256: str = ""
    parts: tuple["Package", ...] = field(default=())


def packages_of(image: Contents) -> list[Package]:
    """Return the packages of Debian and of Python in an image, in order."""
    python = (image.read(path).decode() for path in image.files if DISTRIBUTION.fullmatch(path))
    debian = (_with_licences(one, image) for one in debian_packages(image.read(STATUS).decode()))
    return sorted([*debian, *map(python_package, python)])


def debian_packages(status: str) -> Iterator[Package]:
    """Return the packages that dpkg's list has as installed."""
    for paragraph in re.split(r"\n{2,}", status.strip()):
        entry = HeaderParser().parsestr(paragraph)
        if entry["Status"] != "install ok installed":
            continue
        name, version = entry["Package"], entry["Version"]
        found = re.fullmatch(r"(\S+)(?: \((\S+)\))?", entry.get("Source", name))
        source, source_version = found.groups() if found else (name, None)
        yield Package(
            "deb", name, version, source, source_version or version, entry["Architecture"], entry.get("Section", "")
        )


def python_package(metadata: str) -> Package:
    """Return the package of which this is the METADATA."""
    entry = HeaderParser().parsestr(metadata)
    name, version = normal(entry["Name"]), entry["Version"]
    return Package("pypi", name, version, name, version, licences=(licence_of(entry),))


def normal(name: str) -> str:
    """Return a name of PyPI in its one form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def copyright_licences(text: str) -> tuple[str, ...]:
    """Return the short names of licences in a copyright file; nothing if it is prose."""
    if not COPYRIGHT_FORMAT.search(text):
        return ()
    return tuple(sorted(set(re.findall(r"^License: *(\S.*?) *$", text, re.MULTILINE))))


def locked(lines: Iterable[str]) -> dict[str, str]:
    """Return the versions of a lock file by name."""
    pins = (re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", line) for line in lines)
    return {normal(pin[1]): pin[2] for pin in pins if pin}


def _with_licences(package: Package, image: Contents) -> Package:
    path = f"usr/share/doc/{package.name}/copyright"
    if path not in image.files:
        return package
    try:
        text = image.read(path).decode(errors="replace")
    except KeyError:  # a link to the documents of a package that is not in the image
        return package
    return replace(package, licences=copyright_licences(text))

"""Licences of Python packages: SPDX expressions from the packages' metadata, compared with ``licences.txt``."""

import re
from email.message import Message
from pathlib import Path

ALLOWED = Path(__file__).with_name("licences.txt")
UNKNOWN = "NOASSERTION"
"""What SPDX calls a licence that nothing says."""

SPDX = {
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
"""Identifiers of the names that packages use which say no expression."""


def licence_of(metadata: Message) -> str:
    """Return the licence that a package's metadata says, the newest way of saying it first."""
    if expression := metadata["License-Expression"]:
        return str(expression)
    said = str(metadata.get("License", "")).strip()
    if re.fullmatch(r"[A-Za-z0-9.+-]+( (AND|OR) [A-Za-z0-9.+-]+)*", said) and said.lower() not in SPDX:
        return said
    if said.lower() in SPDX:
        return SPDX[said.lower()]
    classifiers = [one.rpartition(" :: ")[2].lower() for one in metadata.get_all("Classifier", ()) if "License" in one]
    known = sorted({SPDX[one] for one in classifiers if one in SPDX})
    return " OR ".join(known) or UNKNOWN


def allowed(text: str | None = None) -> frozenset[str]:
    """Return the identifiers of the list."""
    lines = (ALLOWED.read_text(encoding="utf-8") if text is None else text).splitlines()
    return frozenset(word for line in lines if (word := line.partition("#")[0].strip()))


def is_allowed(expression: str, listed: frozenset[str]) -> bool:
    """Tell whether one side of each OR is on the list; with parentheses or WITH, everything has to be."""
    if re.search(r"[()]| WITH ", expression):
        return all(word in listed for word in re.findall(r"[\w.+-]+", expression) if word not in {"AND", "OR", "WITH"})
    return any(all(one.strip() in listed for one in side.split(" AND ")) for side in expression.split(" OR "))

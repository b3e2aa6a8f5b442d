"""Licences of packages of Python and of jars: SPDX expressions from their metadata, compared with ``licences.txt``."""

import re
from email.message import Message
from pathlib import Path
from typing import Any

from license_expression import ExpressionError, get_spdx_licensing

ALLOWED = Path(__file__).with_name("licences.txt")
UNKNOWN = "NOASSERTION"
"""What SPDX calls a licence that nothing says."""

LICENSING = get_spdx_licensing()
CLASSPATH = "GPL-2.0-only WITH Classpath-exception-2.0"

SPDX = {
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "the new bsd license": "BSD-3-Clause",
    "unicode-3.0": "Unicode-3.0",
}
"""Identifiers of the names that packages use which say no expression."""

PAGES = {
    "antlr.org/license": "BSD-3-Clause",
    "apache.org/licenses/license-2.0": "Apache-2.0",
    "asm.ow2.io/license": "BSD-3-Clause",
    "asm.ow2.org/license": "BSD-3-Clause",
    "creativecommons.org/publicdomain/zero/1.0/": "CC0-1.0",
    "eclipse.org/legal/epl-2.0": "EPL-2.0",
    "eclipse.org/org/documents/edl-v10": "BSD-3-Clause",
    "gnu.org/software/classpath/license": CLASSPATH,
    "jquery.org/license": "MIT",
    "opensource.org/license/bsd-3-clause": "BSD-3-Clause",
    "opensource.org/license/mit": "MIT",
    "opensource.org/licenses/bsd-2-clause": "BSD-2-Clause",
    "opensource.org/licenses/bsd-3-clause": "BSD-3-Clause",
    "opensource.org/licenses/bsd-license": "BSD-3-Clause",
    "opensource.org/licenses/mit-license": "MIT",
    "raw.githubusercontent.com/google/flatbuffers/master/license": "Apache-2.0",
    "raw.githubusercontent.com/threeten/threeten-extra/main/license": "BSD-3-Clause",
    "spdx.org/licenses/bsd-3-clause": "BSD-3-Clause",
    "w3.org/consortium/legal/copyright-documents-19990405": "W3C",
}
"""Identifiers of the licences' pages that jars name, in small letters, without scheme, ``www.`` and suffix."""


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


def spdx_of(name: str) -> str:
    """Return the identifier of a licence's name."""
    return SPDX.get(name.lower(), UNKNOWN)


def of_bundle(header: str) -> str:
    """Return the expression of a jar's header ``Bundle-License``.

    Eclipse's licence beside GNU Classpath's is a choice of the user's; what else is listed holds for parts of the jar.
    """
    clauses = re.findall(r'(?:"[^"]*"|[^,"])+', header)
    found = {PAGES.get(_page(clause), UNKNOWN) for clause in clauses}
    if found >= (choice := {"EPL-2.0", CLASSPATH}):
        found = (found - choice) | {f"(EPL-2.0 OR {CLASSPATH})" if found > choice else f"EPL-2.0 OR {CLASSPATH}"}
    return " AND ".join(sorted(found))


def _page(clause: str) -> str:
    """Return the page that a clause of ``Bundle-License`` names: its link, or the name itself."""
    link = re.search(r'link="?([^";]+)', clause)
    page = (link[1] if link else clause.partition(";")[0]).strip().lower()
    return re.sub(r"^https?://(www\.)?|\.(txt|html|php)$", "", page)


def is_allowed(expression: str, listed: frozenset[str]) -> bool:
    """Tell whether the list has one side of each OR and both sides of each AND; an exception belongs to its licence."""
    try:
        parsed = LICENSING.parse(expression, validate=True)
    except ExpressionError:
        return False
    return _is_allowed(parsed, listed)


def _is_allowed(parsed: Any, listed: frozenset[str]) -> bool:  # noqa: ANN401 - a tree without types
    if isinstance(parsed, LICENSING.OR):
        return any(_is_allowed(one, listed) for one in parsed.args)
    if isinstance(parsed, LICENSING.AND):
        return all(_is_allowed(one, listed) for one in parsed.args)
    return str(parsed) in listed

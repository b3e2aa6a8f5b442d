"""The notes of a version: its section of CHANGELOG.md."""

import re


def notes(changelog: str, version: str) -> str:
    """Return the section of a version, without its own heading's mark; an error if there is none."""
    pattern = rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## |\Z)"
    found = re.search(pattern, changelog, re.MULTILINE | re.DOTALL)
    if not found or not found[1].strip():
        message = f"CHANGELOG.md has no entries for {version!r}; expected a section `## [{version}]`"
        raise ValueError(message)
    return f"# Marquee {version}\n\n{found[1].strip()}\n"

"""Markdown for the generated pages: tables, and comments of the code as Markdown."""

import re
from collections.abc import Iterable, Iterator, Sequence

_IDENTIFIER = re.compile(r"'\*\*'|\*_\w+|\b[A-Za-z]\w*_\*|\b[A-Za-z]\w*_\w+")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table, and an empty line after it."""
    yield "| " + " | ".join(columns) + " |"
    yield "|" + " --- |" * len(columns)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |"
    yield ""


def marked_up(text: str) -> str:
    """Return a comment of the code as Markdown: names with underscores as code, everything else escaped."""
    parts, end = [], 0
    for match in _IDENTIFIER.finditer(text):
        parts += [_escaped(text[end : match.start()]), f"`{match[0].strip(chr(39))}`"]
        end = match.end()
    return "".join([*parts, _escaped(text[end:])])


def _escaped(text: str) -> str:
    return re.sub(r"([*<])", r"\\\1", text).replace("->", "→")

"""Splits text that holds several events: one after another, in arrays, as JSON quoted in a text, over many lines.

Events are split as text, not as values, so that the event contract judges each of them as its producer wrote it.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from jobs.rollup.contract import MAX_LINE_BYTES, Reason

Piece: TypeAlias = str | tuple[Reason, str]
"""The text of an event, or the reason to reject it and its text."""

BOM = "\ufeff"
JOINTS = rf"\x00-\x20,;|\x7f-\xa0{chr(0x2028)}{chr(0x2029)}{BOM}"
"""Characters that producers put between events: white space, control characters, commas and the like, and the byte
order marks of joined files."""
BETWEEN = re.compile(rf"[{JOINTS}\[\]]*")
"""Between events there may also be the brackets of arrays."""
BOUNDARY = re.compile(rf'\}}[{JOINTS}]*(?=\{{[ \t\r\n]*")')
"""End of an object before the start of another. It is not inside a text, where a quote follows a backslash."""
SPACE = " \t\r\n" + BOM
SEVERAL = re.compile(rf"\}}[{JOINTS}]*\{{")
"""Where one object ends and another begins. DuckDB reads this pattern, too."""
QUOTED_DEPTH = 3
MOST_BROKEN = 100
"""How many more pieces of a text may be no JSON than are."""
KEPT = 64 << 10
BOUNDARY_LENGTH = 64
ESCAPED = re.compile("[\udc80-\udcff]")
"""A byte that is not UTF-8, as ``surrogateescape`` decodes it."""

_scan: Callable[[str, int], tuple[object, int]] = json.JSONDecoder(parse_int=len).scan_once  # type: ignore[attr-defined] # as in json


def may_hold_several(text: str) -> bool:
    """Return whether a line may hold several events, or one in an array or a text: it then needs ``split_line``."""
    inner = text.lstrip(SPACE)
    return inner.startswith(("[", '"')) or (inner.startswith("{") and SEVERAL.search(inner) is not None)


def split_line(text: str, depth: int = QUOTED_DEPTH) -> list[Piece] | None:
    """Return the events in a line that holds several, or one inside an array or a quoted text; None for any other."""
    inner = text.strip(SPACE)
    if inner.startswith('"') and depth:
        quoted = _unquote(inner)
        return None if quoted is None else split_line(quoted, depth - 1) or [_on_one_line(quoted.strip(SPACE))]
    if not (inner.startswith("[") or (inner.startswith("{") and SEVERAL.search(inner))):
        return None
    try:
        pieces = list(_expand(split_text([inner.encode(errors="surrogatepass")]), depth))
    except ValueError:
        return None
    # An object that has objects inside is one piece; if it is broken, the reference parser says how.
    return pieces if len(pieces) > 1 or (pieces and inner.startswith("[")) else None


def _expand(pieces: Iterable[Piece], depth: int) -> Iterator[Piece]:
    for piece in pieces:
        quoted = split_line(piece, depth) if isinstance(piece, str) and piece.startswith('"') else None
        yield from quoted or [piece]


def _unquote(text: str) -> str | None:
    """Return the text in a JSON text if it looks like JSON itself."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, str) and value.strip(SPACE)[:1] in ("{", "[", '"') else None


def split_text(chunks: Iterable[bytes], *, whole: bool = False) -> Iterator[Piece]:
    """Yield the events in a text, which comes in chunks; each is on one line.

    A piece that is not JSON is rejected, up to where the next object begins.

    Raises:
        ValueError: ``whole`` is set and an array has no end; or most pieces are not JSON.
    """
    text = _Text(chunks)
    broken = 0
    while text.skip_between():
        length = text.length_of_value()
        broken += 1 if length is None else -1
        if broken > MOST_BROKEN:
            message = "it has text that looks like several events one after another, but most of them are not JSON"
            raise ValueError(message)
        yield text.take_broken() if length is None else _readable(text.take(length))
    if whole and text.open_arrays:
        message = "it holds an array that has no end"
        raise ValueError(message)


class _Text:
    """A text that is read in chunks, as far as the next event needs it."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text, self._at, self._ended = "", 0, False
        self.open_arrays = 0

    def _more(self) -> bool:
        """Read another chunk; return whether there was one."""
        chunk = None if self._ended else next(self._chunks, None)
        self._ended = chunk is None
        read = self._decoder.decode(chunk or b"", final=self._ended)
        self._text, self._at = self._text[self._at :] + read, 0
        return not self._ended

    def skip_between(self) -> bool:
        """Go to the start of the next value; return whether there is one."""
        while True:
            between = BETWEEN.match(self._text, self._at)
            passed = between[0] if between else ""
            self.open_arrays += passed.count("[") - passed.count("]")
            self._at += len(passed)
            if self._at < len(self._text):
                return True
            if not self._more() and not self._text:
                return False

    def length_of_value(self) -> int | None:
        """Return the length of the value that begins here; None if it is not JSON, or longer than a line may be."""
        while True:
            try:
                end = int(_scan(self._text, self._at)[1])
            except (ValueError, StopIteration, RecursionError):
                end = -1
            length = end - self._at if end > 0 else None
            # A number may go on in the next chunk.
            if length is not None and (end < len(self._text) or self._text[end - 1] in '}]"'):
                return length
            if len(self._text) - self._at > MAX_LINE_BYTES or not self._more():
                return length

    def take(self, length: int) -> str:
        """Return the next characters, and go beyond them."""
        found = self._text[self._at : self._at + length]
        self._at += length
        return found

    def take_broken(self) -> Piece:
        """Reject the text from here to where the next object begins, or to the end."""
        kept, size = "", 0
        while True:
            boundary = BOUNDARY.search(self._text, self._at)
            # Without one, the first part of a boundary may be at the end of the chunk.
            end = boundary.end() if boundary else len(self._text) - (0 if self._ended else BOUNDARY_LENGTH)
            passed = self.take(max(0, end - self._at))
            kept, size = kept or passed[:KEPT], size + len(passed)
            if boundary or (self._ended and self._at == len(self._text)):
                reason = Reason.LINE_TOO_LONG if size > MAX_LINE_BYTES else Reason.NOT_JSON
                return reason, _as_text(kept.rstrip(SPACE + ","))
            self._more()


def _readable(text: str) -> Piece:
    return (Reason.NOT_UTF8, _as_text(text)) if ESCAPED.search(text) else _on_one_line(text)


def _as_text(text: str) -> str:
    return text.encode(errors="surrogateescape").decode(errors="replace")


def _on_one_line(text: str) -> str:
    """Return JSON text without the newlines between its values; inside its texts, they are escaped."""
    return text.replace("\n", " ").replace("\r", " ") if "\n" in text or "\r" in text else text


def is_over_lines(head: bytes) -> bool:
    """Return whether a text begins with a value that goes on beyond its first line: an array, or an indented object."""
    begin = head.removeprefix(BOM.encode()).lstrip(b" \t\r\n")
    first = begin.partition(b"\n")[0]
    if begin[:1] not in (b"{", b"[") or len(first) == len(begin) or _is_whole(first.decode(errors="replace")):
        return False
    line, text = first.decode(errors="replace"), begin.decode(errors="replace")
    between = BETWEEN.match(text)
    start = between.end() if between else 0
    try:
        _, end = _scan(text, start)
    except (ValueError, StopIteration, RecursionError):
        return False
    return end > len(line) if text[0] == "{" else text[end:].lstrip(SPACE)[:1] in (",", "]")


def _is_whole(line: str) -> bool:
    try:
        _, end = _scan(line, 0)
    except (ValueError, StopIteration, RecursionError):
        return False
    return not line[end:].strip(SPACE)

"""Shapes of a producer's lines: what stays the same from line to line, and the kinds of the values between.

A program writes the lines of an object, so they have few shapes: names, their order and white space repeat. A shape is
taken from one line that the event contract accepts. Another line has the shape if its bytes are the same but for the
values. Then it is JSON of the same structure, and its fields are in the same places.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from json.decoder import scanstring  # type: ignore[attr-defined] # as in json
from typing import TypeAlias

from jobs.rollup.contract import Fields

Shape: TypeAlias = list[tuple[bytes, str]]
"""Pieces of a line, each with the kind of the value after it: a field, SKIPPED or END."""

END = ""
"""Kind after the last piece."""
SKIPPED = "*"
"""Kind of a value that is no field."""

_SPACE = re.compile(r"[ \t\r\n]*")
_scan: Callable[[str, int], tuple[object, int]] = json.JSONDecoder(parse_int=len).scan_once  # type: ignore[attr-defined] # as in json

_Places: TypeAlias = Mapping[tuple[str, ...], str]
"""Fields by the names on the way to them."""


def shape_of(line: str, fields: Fields) -> Shape | None:
    """Return the shape of a line that the contract accepts; None if two fields have one place."""
    places = {path: name for name, path in fields.paths.items()}
    if len(places) < len(fields.paths):
        return None
    return _Walk(line).shape(places)


class _Walk:
    """A walk through a line, from value to value."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._shape: Shape = []
        self._piece_at = 0

    def shape(self, places: _Places) -> Shape:
        self._object(self._skip_space(0), places)
        self._shape.append((self._line[self._piece_at :].encode(), END))
        return self._shape

    def _object(self, at: int, places: _Places) -> int:
        """Walk through an object with fields below the names of ``places``; return where it ends."""
        seen: set[str] = set()
        at = self._skip_space(at + 1)
        while self._line[at] != "}":
            name, at = scanstring(self._line, at + 1)
            at = self._skip_space(self._skip_space(at) + 1)
            # The first of a repeated name counts.
            below = {} if name in seen else {path[1:]: field for path, field in places.items() if path[0] == name}
            seen.add(name)
            at = self._skip_space(self._value(at, below))
            if self._line[at] == ",":
                at = self._skip_space(at + 1)
        return at + 1

    def _value(self, at: int, places: _Places) -> int:
        if places and () not in places:
            return self._object(at, places)
        end = _scan(self._line, at)[1]
        self._shape.append((self._line[self._piece_at : at].encode(), places.get((), SKIPPED)))
        self._piece_at = end
        return end

    def _skip_space(self, at: int) -> int:
        found = _SPACE.match(self._line, at)
        return found.end() if found else at


def as_kinds(shape: Shape, kinds: Mapping[str, int]) -> Sequence[tuple[bytes, int]]:
    """Return a shape with the numbers of its kinds."""
    return [(piece, kinds[kind]) for piece, kind in shape]

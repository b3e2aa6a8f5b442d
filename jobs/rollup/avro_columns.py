"""Decodes Avro records into columns, by the compiled decoder (columns_native.pyx), and judges these.

A schema becomes the decoder's program. It takes values of the types that columns.py judges; a record that has another
one is not for columns. Without the compiled decoder, or for a schema that lacks a field, there are no columns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from jobs.rollup.avro_schema import Names, Tree, fields_with_slots
from jobs.rollup.blocks import Numbers
from jobs.rollup.columns import Mask, judge
from jobs.rollup.compiled import why_not_compiled
from jobs.rollup.contract import Window
from jobs.rollup.records import Asked

if TYPE_CHECKING:
    from jobs.rollup.passes import Pass

if not why_not_compiled():
    from jobs.rollup import columns_native
else:  # it is optional, and may be one of another version
    columns_native = None  # type: ignore[assignment] # the types are those of the compiled module

ROWS = 1 << 16
"""Records that are judged at a time."""

SKIP_FIXED, SKIP_NUMBER, SKIP_TEXT, RECORD, UNION, ITEMS, NUMBER, SYMBOL, TEXT, ODD = range(10)
"""Operations of the decoder."""
LARGEST_FIXED = 1 << 40
FIXED_KINDS = ("null", "boolean", "float", "double", "fixed")

Column: TypeAlias = bytes | tuple[bytes, bytes]
"""Numbers of 64 bits; or the ends of texts, and their bytes."""


@dataclass(frozen=True)
class _Form:
    """What a column holds: an operation of the decoder, the type of numbers, and the texts that numbers stand for."""

    operation: int
    type: pa.DataType
    symbols: tuple[str, ...] = ()

    def to_array(self, column: Column) -> pa.Array:
        """Return the values of a column."""
        if isinstance(column, tuple):
            ends, texts = map(pa.py_buffer, column)
            return pa.LargeStringArray.from_buffers(ends.size // 8 - 1, ends, texts)
        found = pa.Array.from_buffers(self.type, len(column) // 8, [None, pa.py_buffer(column)])
        if self.operation != SYMBOL:
            return found
        return pa.DictionaryArray.from_arrays(found.cast(pa.int32()), pa.array(self.symbols, pa.string()))


class AvroColumns:
    """Some records as columns; ``add`` fills them, ``take`` empties them."""

    def __init__(
        self,
        decoder: Any,  # noqa: ANN401 - compiled
        forms: Sequence[_Form],
        places: Mapping[str, int],
        window: Window,
        passing: "Pass | None",
    ) -> None:
        self._decoder, self._forms, self._places, self._window, self._passing = decoder, forms, places, window, passing

    def add(self, block: bytes, at: int, count: int) -> tuple[int, int]:
        """Decode at most ``count`` records from a place in a block; return how many, and the place after them.

        It stops where the columns are full, or before a record that the decoder cannot read.
        """
        read, after = self._decoder.add(block, at, count)
        return int(read), int(after)

    @property
    def is_full(self) -> bool:
        """Whether no further record fits."""
        return bool(self._decoder.is_full)

    def take(self) -> tuple[pa.Table, Mask, Numbers]:
        """Return the plays, as ``judge`` does, which records they are, and where each record begins in its block."""
        columns, starts, odd = self._decoder.take()
        arrays = [form.to_array(column) for form, column in zip(self._forms, columns, strict=True)]
        sure = np.frombuffer(odd, np.uint8) == 0
        columns = {name: arrays[place] for name, place in self._places.items()}
        plays, sure = judge(columns, self._window, sure, self._passing)
        return plays, sure, np.frombuffer(starts, np.int64)


def columns_of(tree: Tree, asked: Asked, paths: Sequence[Names]) -> AvroColumns | None:
    """Return the columns for records of a schema; None if there are none."""
    is_compiled: bool = columns_native is not None
    if not is_compiled or asked.fields is None or asked.window is None:
        return None
    slots = {path: slot for slot, path in enumerate(paths)}
    if not all(path in slots for path in asked.fields.values()):
        return None
    program = _Program()
    if not program.holds(tree, slots):
        return None
    forms = [program.forms[slot] for slot in range(len(paths))]
    decoder = columns_native.Decoder(program.code, [one.operation == TEXT for one in forms], ROWS)
    places = {name: slots[path] for name, path in asked.fields.items()}
    return AvroColumns(decoder, forms, places, asked.window, asked.passing)


class _Program:
    """The program for a schema: ``code`` for the decoder, and the form of each column."""

    def __init__(self) -> None:
        self.code: list[int] = []
        self.forms: dict[int, _Form] = {}

    def holds(self, tree: Tree, slots: Mapping[Names, int]) -> bool:
        """Write the program; return whether each column has values."""
        self._write(tree, slots)
        return len(self.forms) == len(slots) and max(self.code) <= LARGEST_FIXED

    def _node(self, *numbers: int, inner: Sequence[Callable[[], int]] = ()) -> int:
        """Append a node, and the nodes that it refers to; return its place."""
        place = len(self.code)
        self.code += [*numbers, *(0 for _ in inner)]
        for index, write in enumerate(inner, place + len(numbers)):
            self.code[index] = write()
        return place

    def _write(self, tree: Tree, slots: Mapping[Names, int]) -> int:
        if not slots:
            return self._skip(tree)
        if tree.kind == "union":
            branches = [lambda one=one: self._write(one, slots) for _, one in tree.inner]
            return self._node(UNION, len(branches), inner=branches)
        if tree.kind == "record" and {path[:1] for path in slots} <= {(name,) for name, _ in tree.inner}:
            fields = [lambda one=one: self._write(*one) for one in fields_with_slots(tree, slots)]
            return self._node(RECORD, len(fields), inner=fields)
        form = _form(tree)
        slot = slots.get(())
        if form is None or slot is None or self.forms.setdefault(slot, form) != form:
            return self._node(ODD, inner=[lambda: self._skip(tree)])
        return self._node(form.operation, slot, *([len(form.symbols)] if form.operation == SYMBOL else []))

    def _skip(self, tree: Tree) -> int:
        if tree.kind in FIXED_KINDS:
            return self._node(SKIP_FIXED, tree.least)
        if tree.kind in ("int", "long", "enum"):
            return self._node(SKIP_NUMBER)
        if tree.kind in ("string", "bytes"):
            return self._node(SKIP_TEXT)
        inner = [lambda one=one: self._skip(one) for _, one in tree.inner]
        if tree.kind == "array":
            return self._node(ITEMS, inner=inner)
        if tree.kind == "map":
            return self._node(
                ITEMS, inner=[lambda: self._node(RECORD, 2, inner=[lambda: self._node(SKIP_TEXT), *inner])]
            )
        return self._node(UNION if tree.kind == "union" else RECORD, len(inner), inner=inner)


UNITS = {"millis": "ms", "micros": "us", "nanos": "ns"}
NO_NUMBERS = (("int", "date"), ("int", "time-millis"), ("long", "time-micros"))


def _form(tree: Tree) -> _Form | None:
    """Return the form of a column of values of a type; None if columns have no such values."""
    kind, logical = tree.kind, tree.logical
    if kind == "string" or (kind == "bytes" and logical != "decimal"):
        return _Form(TEXT, pa.large_string())
    if kind == "enum":
        return _Form(SYMBOL, pa.int64(), tree.symbols) if all(map(_is_utf8, tree.symbols)) else None
    if kind not in ("int", "long") or (kind, logical) in NO_NUMBERS:
        return None
    form, _, unit = logical.removeprefix("local-").partition("-")
    if kind == "long" and form == "timestamp" and unit in UNITS:
        return _Form(NUMBER, pa.timestamp(UNITS[unit]))
    return _Form(NUMBER, pa.int64())


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

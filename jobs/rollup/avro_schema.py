"""Avro schemas: trees of types without names, within limits.

Specification: https://avro.apache.org/docs/1.12.0/specification/
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from jobs.rollup.limits import Limits

Schema: TypeAlias = Any
"""A schema as JSON: a name, a union as a list, or an object."""
Names: TypeAlias = tuple[str, ...]

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
NAMED_KINDS = ("record", "error", "enum", "fixed")
FIXED_BYTES = {"boolean": 1, "float": 4, "double": 8}


@dataclass(frozen=True)
class Tree:
    """A schema without names: ``inner`` has the fields of a record, branches of a union, or items.

    ``least`` is the minimum number of bytes of a value.
    """

    kind: str
    logical: str = ""
    inner: tuple[tuple[str, "Tree"], ...] = ()
    size: int = 0
    scale: int = 0
    symbols: tuple[str, ...] = ()
    least: int = 0


class Resolver:
    """Replaces the names in a schema by their definitions; refuses schemas that are beyond a limit."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._named: dict[str, Schema] = {}
        self._count = 0

    def resolve(self, schema: Schema) -> Tree:
        """Return the schema with each name replaced by its definition."""
        try:
            tree = self._resolve(schema, "", ())
        except (TypeError, AttributeError, RecursionError) as error:
            message = "its Avro schema is malformed"
            raise ValueError(message) from error
        if tree.least == 0 and tree.kind not in ("string", "bytes"):
            message = "its Avro schema has records without bytes"
            raise ValueError(message)
        return tree

    def _resolve(self, schema: Schema, space: str, above: tuple[str, ...], depth: int = 0) -> Tree:
        self._count += 1
        if depth > self._limits.nesting or self._count > self._limits.columns:
            message = (
                f"its Avro schema has more than {self._limits.columns} fields, or is nested deeper than "
                f"{self._limits.nesting}. See MARQUEE_ROLLUP__LIMITS"
            )
            raise ValueError(message)
        if isinstance(schema, list):
            inner = tuple(("", self._resolve(one, space, above, depth + 1)) for one in schema)
            return Tree("union", inner=inner, least=1)
        if isinstance(schema, str):
            schema, space = ({"type": schema}, space) if schema in PRIMITIVES else self._definition(schema, space)
        kind = schema["type"]
        if kind in ("array", "map"):
            return self._items(kind, schema, space, above, depth)
        if kind in NAMED_KINDS:
            return self._named_type(kind, schema, space, above, depth)
        return _primitive(kind, schema) if kind in PRIMITIVES else self._resolve(kind, space, above, depth + 1)

    def _named_type(self, kind: str, schema: Schema, space: str, above: tuple[str, ...], depth: int) -> Tree:
        name = _full_name(schema["name"], schema.get("namespace", space))
        self._named[name] = schema
        space = name.rpartition(".")[0]
        if kind == "enum":
            return Tree(kind, symbols=tuple(map(str, schema["symbols"])), least=1)
        if kind == "fixed":
            size = int(schema["size"])
            if size < 0:
                message = f"its Avro schema has the type {name!r} of {size} bytes"
                raise ValueError(message)
            return Tree(kind, _logical(schema), size=size, scale=int(schema.get("scale", 0)), least=size)
        if name in above:
            message = f"its Avro schema refers to itself: {name!r}"
            raise ValueError(message)
        fields = tuple(
            (str(one["name"]), self._resolve(one["type"], space, (*above, name), depth + 1)) for one in schema["fields"]
        )
        return Tree("record", inner=fields, least=sum(one.least for _, one in fields))

    def _definition(self, name: str, space: str) -> tuple[Schema, str]:
        for full in (_full_name(name, space), name):
            if full in self._named:
                return self._named[full], full.rpartition(".")[0]
        message = f"its Avro schema has no type {name!r}"
        raise ValueError(message)

    def _items(self, kind: str, schema: Schema, space: str, above: tuple[str, ...], depth: int) -> Tree:
        items = self._resolve(schema["items" if kind == "array" else "values"], space, above, depth + 1)
        if kind == "array" and items.least == 0:
            message = "its Avro schema has an array of items without bytes"
            raise ValueError(message)
        return Tree(kind, inner=(("", items),), least=1)


def leaves(tree: Tree) -> list[Names]:
    """Return the paths of all fields that are neither records nor lists nor maps."""
    if tree.kind == "union":
        return [path for _, one in tree.inner for path in leaves(one)]
    if tree.kind != "record":
        return [] if tree.kind in ("array", "map", "null") else [()]
    return [(name, *path) for name, one in tree.inner for path in leaves(one)]


def fields_with_slots(tree: Tree, slots: Mapping[Names, int]) -> Iterator[tuple[Tree, Mapping[Names, int]]]:
    """Yield the types of a record's fields, with the slots of what is inside."""
    seen: set[str] = set()
    for name, one in tree.inner:
        # If a name is repeated, its first value counts.
        below = {} if name in seen else {path[1:]: slot for path, slot in slots.items() if path and path[0] == name}
        seen.add(name)
        yield one, below


def _full_name(name: str, space: str) -> str:
    return name if "." in name or not space else f"{space}.{name}"


def _logical(schema: Schema) -> str:
    return str(schema.get("logicalType", ""))


def _primitive(kind: str, schema: Mapping[str, Any]) -> Tree:
    least = 0 if kind == "null" else FIXED_BYTES.get(kind, 1)
    return Tree(kind, _logical(schema), scale=int(schema.get("scale", 0)), least=least)

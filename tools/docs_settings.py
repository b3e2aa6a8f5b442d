"""The settings classes as rows of a page: one for each setting, by section, with type and default in words."""

import datetime
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from jobs.common.settings import Section, StageSettings, env_name

WORDS: dict[object, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    Decimal: "number",
    bool: "true or false",
    Path: "path",
    SecretStr: "text",
    datetime.date: "date",
}
FACTORIES = {"MARQUEE_ENGINE__WORKERS": "the number of cores"}
"""Defaults that are found at start, in words."""
BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


@dataclass(frozen=True)
class Row:
    """One setting, as the page shows it."""

    variable: str
    place: str
    kind: str
    default: str
    description: str
    secret: bool


@dataclass
class Group:
    """The settings of one section, or those above all sections, and which stages read them."""

    title: str
    about: str
    rows: list[Row] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)


def list_sections(kinds: Sequence[type[StageSettings]]) -> list[Group]:
    """Return the settings of all classes, each once: those above the sections first, then by section."""
    groups: dict[tuple[str, ...], Group] = {}
    for kind in kinds:
        stage = kind.__module__.split(".")[1]
        for path, above, one in _leaves(kind):
            key = path[:-1] if above is not None else path
            about = (above.__doc__ if above is not None else None) or ""
            title = f"[{'.'.join(key)}]" if above is not None else path[-1]
            group = groups.setdefault(key, Group(title, about))
            row = _row(path, one)
            if row not in group.rows:
                group.rows.append(row)
            if stage not in group.stages:
                group.stages.append(stage)
    return sorted(groups.values(), key=lambda group: group.title.startswith("["))


def _leaves(
    kind: type[BaseModel], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], type[BaseModel] | None, FieldInfo]]:
    """Yield (path, the section it lies in or None, field) for each setting."""
    for name, one in kind.model_fields.items():
        section = next((part for part in _parts(one.annotation) if _is_section(part)), None)
        if section is not None:
            yield from _leaves(section, (*path, name))
        else:
            yield (*path, name), kind if path else None, one


def _row(path: tuple[str, ...], one: FieldInfo) -> Row:
    kinds = _parts(one.annotation)
    variable = env_name(path)
    return Row(variable, ".".join(path), _kind(one), _default(variable, one), one.description or "", SecretStr in kinds)


def _kind(one: FieldInfo) -> str:
    parts = [part for part in _parts(one.annotation) if part is not type(None)]
    words = " or ".join(_word(part) for part in parts)
    bounds = [
        f"{sign} {getattr(limit, name)}" for name, sign in BOUNDS for limit in one.metadata if hasattr(limit, name)
    ]
    return ", ".join([words, *bounds])


def _word(kind: Any) -> str:  # noqa: ANN401 - an annotation
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(f"`{one}`" for one in arguments)
    if origin is tuple:
        return f"list of {WORDS[arguments[0]]}"
    if origin is dict:
        return f"table of {WORDS[arguments[1]]}"
    return WORDS[kind]


def _default(variable: str, one: FieldInfo) -> str:
    if one.is_required():
        return "**required**"
    if one.default_factory is not None and one.default_factory is not dict:
        return FACTORIES[variable]
    value = one.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ("", {}):
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value) if isinstance(value, tuple) else value}`"


def _parts(annotation: Any) -> tuple[Any, ...]:  # noqa: ANN401 - an annotation
    """Return what a union is of; Annotated is looked through."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return tuple(part for one in get_args(annotation) for part in _parts(one))
    if hasattr(annotation, "__metadata__"):
        return _parts(annotation.__origin__)
    return (annotation,)


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)

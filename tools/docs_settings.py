"""docs/settings.md: every setting of the classes that jobs/registry.py lists, by section."""

import datetime as dt
import json
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from jobs.registry import JOBS
from marquee.machine import PROCESS_MB, USUAL_MEMORY_MB
from marquee.settings.names import env_name
from marquee.settings.sections import Section
from tools.markdown import marked_up, table

HEAD = """\
# Settings

A setting is an environment variable, or an entry of the TOML file that `MARQUEE_CONFIG` names. The variable overrides
the file. In a variable, two underscores separate a section from its entry; lists and tables are JSON: `'["GB", "KR"]'`.
A misspelt name is an error that names the nearest valid one. `marquee config` lists the settings in force and the
source of each, with secrets masked.

S3 credentials are not settings of Marquee: boto3 finds them in its own variables, profiles and roles. A setting that
affects results is in the [markers](architecture.md#markers) of the affected periods; a change makes these periods
stale.
"""
COLUMNS = ("variable", "in TOML", "type", "default", "meaning")
WORDS: dict[object, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    Decimal: "number",
    bool: "true or false",
    Path: "path",
    SecretStr: "text",
    dt.date: "date",
}
FACTORIES = {
    "MARQUEE_ENGINE__WORKERS": "number of cores",
    "MARQUEE_ENGINE__MEMORY_MB": f"`{USUAL_MEMORY_MB}`; in a pod or container with a limit three quarters of it, "
    f"or {PROCESS_MB} less than a small one",
}
"""Defaults that are determined at start, in words."""
BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


@dataclass
class _Group:
    """The settings of one section, or one setting without a section: the stages that read it, and its table's rows."""

    title: str
    about: str
    stages: list[str] = field(default_factory=list)
    rows: list[tuple[str, ...]] = field(default_factory=list)


def settings() -> Iterator[str]:
    """Yield the lines of the page."""
    yield from HEAD.splitlines()
    yield ""
    for group in sorted(_groups(), key=lambda one: one.title.startswith("`[")):
        yield f"## {group.title}"
        yield ""
        yield f"{group.about}Read by {', '.join(f'`{stage}`' for stage in group.stages)}."
        yield ""
        yield from table(COLUMNS, group.rows)


def _groups() -> list[_Group]:
    groups: dict[tuple[str, ...], _Group] = {}
    for kind in [job.settings for job in JOBS]:
        stage = kind.__module__.split(".")[1]
        for path, section, one in _leaves(kind):
            key = path if section is None else path[:-1]
            title = f"`{path[0]}`" if section is None else f"`[{'.'.join(key)}]`"
            about = "" if section is None else f"{marked_up(section.__doc__ or '')} "
            group = groups.setdefault(key, _Group(title, about))
            row = _row(path, one)
            if row not in group.rows:
                group.rows.append(row)
            if stage not in group.stages:
                group.stages.append(stage)
    return list(groups.values())


def _leaves(
    kind: type[BaseModel], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], type[BaseModel] | None, FieldInfo]]:
    """Yield (path, section or None, field) of each setting."""
    for name, one in kind.model_fields.items():
        section = next((part for part in _parts(one.annotation) if _is_section(part)), None)
        if section is not None:
            yield from _leaves(section, (*path, name))
        else:
            yield (*path, name), kind if path else None, one


def _row(path: tuple[str, ...], one: FieldInfo) -> tuple[str, ...]:
    variable = env_name(path)
    said = marked_up(one.description or "") + ("; **secret**" if SecretStr in _parts(one.annotation) else "")
    return f"`{variable}`", f"`{'.'.join(path)}`", _kind(one), _default(variable, one), said


def _kind(one: FieldInfo) -> str:
    words = [_word(part) for part in _parts(one.annotation) if part is not type(None)]
    limits = [*one.metadata, *_limits(one.annotation)]
    bounds = [f"{sign} {getattr(limit, name)}" for name, sign in BOUNDS for limit in limits if hasattr(limit, name)]
    return ", ".join([" or ".join(words), *bounds])


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
    return f"`{json.dumps(value)}`" if isinstance(value, bool | tuple) else f"`{value}`"


def _parts(annotation: Any) -> tuple[Any, ...]:  # noqa: ANN401 - an annotation
    """Return the members of a union, also within Annotated."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return tuple(part for one in get_args(annotation) for part in _parts(one))
    if hasattr(annotation, "__metadata__"):
        return _parts(annotation.__origin__)
    return (annotation,)


def _limits(annotation: Any) -> Iterator[Any]:  # noqa: ANN401 - an annotation
    """Yield the limits of the members of a union."""
    for member in get_args(annotation):
        for one in getattr(member, "__metadata__", ()):
            yield from getattr(one, "metadata", ())


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)

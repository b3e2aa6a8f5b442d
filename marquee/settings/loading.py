"""Loads settings from the environment (``MARQUEE_…``, ``__`` between levels) and a TOML file, one class per stage.

``MARQUEE_CONFIG`` names the file; the environment takes precedence. Wrong values and misspelt names fail at start,
before any work.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    SettingsError,
)

from marquee.errors import ConfigError
from marquee.settings.names import CONFIG, env_name, read_file
from marquee.settings.sections import StageSettings, is_section, setting_types

MASK = "**********"
MESSAGES = {"missing": "is not set", "tuple_type": 'expected a list in JSON, such as ["one", "two"]'}
"""Messages that replace pydantic's, by type of error."""

_PASSWORD = re.compile(r"(?<=://)[^\s\"']*@")
"""User and password in a URL, up to its last @, because a password may contain @."""
_QUERY = re.compile(r"(://[^\s\"'?]*\?)[^\s\"']+")
"""Query of a URL, which may hold a signature or a token."""
_SENSITIVE = r"secret|passw(?:or)?d|passphrase|passcode|pwd|token|credential|jaas|cookie|signature"
_SECRET_NAME = re.compile(rf"(?i:{_SENSITIVE}|(?:access|api|account|private).?key|(?:^|[._-])key(?:$|[._-]))|Key$")
"""Names whose values are secrets. A superset of the default of Spark's own ``spark.redaction.regex``."""
_SECRET_VALUE = re.compile(
    rf"""(?i:{_SENSITIVE}|[._-]key|[a-z]key|\bkey|\bsig)["']?\s*[=:]\s*\S"""  # an option or a header inside
    r"|(?i:\bbearer\s+\S|\bbasic\s+[\w.~+/=-]{8})"
    r"|[^\s/:@]:[^\s/@]+@(?!sha\d)[^\s@]"  # user:password@host without a scheme
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"  # the id of a key of AWS
    r"|(?<![\w/+=.-])(?=[a-z0-9/+]*[A-Z])(?=[A-Z0-9/+]*[a-z])(?=[A-Za-z/+]*\d)[A-Za-z0-9/+]{40}(?![\w/+=.-])"  # a key
    r"|\beyJ[\w-]{8,}\.[\w-]+"  # JSON Web Token
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|sk-)[\w-]{10}"  # tokens of well-known services
    r"|-----BEGIN [A-Z ]+"  # PEM
)
"""Values that look like secrets, or contain one."""


S = TypeVar("S", bound=StageSettings)


class WrongSettingsError(ConfigError):
    """Settings are missing or wrong; ``lines`` has a message for each of them."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("wrong settings:\n  " + "\n  ".join(lines))
        self.lines = tuple(lines)


def load_settings(kind: type[S], **overrides: Any) -> S:  # noqa: ANN401 - values of the settings class
    """Load a stage's settings; ConfigError lists every wrong one with its name and value, secrets masked."""
    read_file()  # pydantic-settings treats a missing file as an empty one
    try:
        return kind(**overrides)
    except ValidationError as error:
        lines = _explain(kind, error)
    except SettingsError as error:
        lines = list(_no_json(kind)) or [f"{error}: expected JSON"]
    raise WrongSettingsError(
        lines
    )  # outside the handlers, so that it does not chain pydantic's error, which contains secrets


def masked(text: str) -> str:
    """Return a text in which users, passwords and queries of URLs are masked."""
    return _QUERY.sub(rf"\1{MASK}", _PASSWORD.sub(f"{MASK}@", text))


def masked_entry(name: str, value: str) -> str:
    """Return the value of an entry with a free name; the mask if its name or value looks like a secret."""
    without_urls = _PASSWORD.sub("", value)
    return MASK if _SECRET_NAME.search(name) or _SECRET_VALUE.search(without_urls) else masked(value)


def source_of(path: tuple[str, ...], file: Mapping[str, Any]) -> str:
    """Return the source of a setting: its variable, that of its section or a part of it, the file, or the default."""
    given = {name.upper(): name for name in os.environ}
    for depth in range(len(path), 0, -1):
        name = given.get(env_name(path[:depth]))
        if name and _has(_json(os.environ[name]), path[depth:]):
            return name
    parts = [name for upper, name in given.items() if upper.startswith(f"{env_name(path)}__")]
    if parts:
        return ", ".join(sorted(parts))
    return os.environ[CONFIG] if _has(file, path) else "default"


def _has(entries: object, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(entries, Mapping) or name not in entries:
            return False
        entries = entries[name]
    return True


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _no_json(kind: type[BaseModel]) -> Iterator[str]:
    """Yield a message for each list, table or section whose variable is not JSON; it shows the value of lists only."""
    given = {name.upper(): text for name, text in os.environ.items()}
    for path, annotation in setting_types(kind):
        name, text = env_name(path), given.get(env_name(path))
        if not text or not _takes_json(annotation) or _json(text) is not text:
            continue
        if get_origin(annotation) is tuple and _is_public(kind, path):
            expected = json.dumps([one.strip(" []'\"") for one in text.split(",")], ensure_ascii=False)
            yield f"{name}={masked(repr(text))}: expected a list in JSON, such as {name}='{masked(expected)}'"
        else:
            yield f'{name}: expected an object in JSON, such as {name}=\'{{"name": "value"}}\''


def _takes_json(annotation: object) -> bool:
    return any(get_origin(one) in {tuple, dict} or is_section(one) for one in (annotation, *get_args(annotation)))


def _explain(kind: type[BaseSettings], error: ValidationError) -> list[str]:
    lines = []
    for one in error.errors():
        path = tuple(str(part) for part in one["loc"])
        missing = one["type"] == "missing"
        value = "" if missing or not _is_public(kind, path) else f"={_shown(kind, path, repr(one['input']))}"
        where = f"{env_name(path)}{value}: " if path else ""
        lines.append(f"{where}{MESSAGES.get(one['type'], one['msg'])}")
    return lines


def _shown(kind: type[BaseModel], path: tuple[str, ...], value: str) -> str:
    """Return a wrong value for a message; only in a table are names free, so that they may be those of secrets."""
    is_setting = any(path == known for known, _ in setting_types(kind))
    return masked(value) if is_setting else masked_entry(path[-1], value)


def _is_public(kind: type[BaseModel], path: tuple[str, ...]) -> bool:
    """Return whether a wrong value may be shown: not if it is a secret, a section, or has a misspelt name."""
    annotation: Any = kind
    for name in path:
        sections = [one for one in (annotation, *get_args(annotation)) if hasattr(one, "model_fields")]
        if not sections:
            break  # an entry of a list or table
        if name not in sections[0].model_fields:
            return False
        annotation = sections[0].model_fields[name].annotation
    types = (annotation, *get_args(annotation))
    return not any(isinstance(one, type) and issubclass(one, (SecretStr, BaseModel)) for one in types)

"""Lists the settings in force with their sources, for ``marquee config``."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import SecretStr

from marquee.errors import ConfigError
from marquee.settings.loading import MASK, load_settings, masked, masked_entry, source_of
from marquee.settings.names import env_name, read_file
from marquee.settings.sections import StageSettings

log = logging.getLogger(__name__)


def list_settings(kinds: Sequence[type[StageSettings]]) -> list[list[str]]:
    """Return rows of (variable, value, source), sorted by variable; secrets are masked.

    A stage with wrong settings is skipped with a warning. If all are wrong, the ConfigError of the first is raised.
    """
    file = read_file()
    found: dict[str, list[str]] = {}
    errors: list[ConfigError] = []
    for kind in kinds:
        try:
            settings = load_settings(kind)
        except ConfigError as error:
            errors.append(error)
        else:
            for path, value in _leaves(settings):
                found[env_name(path)] = [env_name(path), value, source_of(path, file)]
    if len(errors) == len(kinds):
        raise errors[0]
    for one in errors:
        log.warning("%s", one)
    return sorted(found.values())


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:  # noqa: ANN401 - settings or a value
    fields = getattr(type(value), "model_fields", None)
    if fields is None:
        yield path, _text(value)
    else:
        for name in fields:
            yield from _leaves(getattr(value, name), (*path, name))


def _text(value: object) -> str:
    """Return a value in the format of an environment variable."""
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        value = {name: masked_entry(name, str(text)) for name, text in value.items()}
    elif not isinstance(value, tuple):
        return masked(str(value))
    return masked(json.dumps(value, ensure_ascii=False, default=str))

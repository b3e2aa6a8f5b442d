"""Names of settings: environment variables ``MARQUEE_…``, ``__`` between levels, and entries of a TOML file."""

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from marquee.errors import ConfigError

PREFIX = "MARQUEE_"
CONFIG = "MARQUEE_CONFIG"
NOT_SETTINGS = frozenset({CONFIG})
REPLACED = {
    "MARQUEE_PROFILE__MIN_CELL": "Set MARQUEE_MART__MIN_CELL: the lake is exact, and the mart is what is protected",
}
"""What to set instead of settings of earlier versions."""


def known_names() -> frozenset[str]:
    """Return the environment variables of all settings, from ``names.txt``, which `make docs` generates."""
    from importlib import resources  # noqa: PLC0415 - not needed for help, as the imports below

    return frozenset(resources.files(__package__).joinpath("names.txt").read_text(encoding="ascii").split())


def check_names(known: Collection[str] | None = None) -> None:
    """Reject ``MARQUEE_…`` variables and TOML entries that are not settings; ConfigError suggests the nearest name.

    The names are generated data, so a job does not import the settings classes of other jobs.
    """
    known = known_names() if known is None else known
    free = {f"{PREFIX}ENGINE__SPARK"}
    given = [name.upper() for name in os.environ if name.upper().startswith(PREFIX) and name not in NOT_SETTINGS]
    given += [env_name(path) for path, _ in walk(read_file())]
    for name in given:
        if name not in known and not any(name == one or name.startswith(f"{one}__") for one in free):
            import difflib  # noqa: PLC0415

            # Compare without the prefix, which all names share.
            near = difflib.get_close_matches(name[len(PREFIX) :], [one[len(PREFIX) :] for one in sorted(known)], 1, 0.5)
            hint = f"Did you mean {PREFIX}{near[0]}?" if near else "`marquee config` lists all settings"
            message = f"Unknown setting {name}. {REPLACED.get(name, hint)}"
            raise ConfigError(message)


def read_file() -> dict[str, Any]:
    """Return the entries of the TOML file; empty without a file."""
    file = os.environ.get(CONFIG)
    if not file:
        return {}
    import tomllib  # noqa: PLC0415

    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        message = f"cannot read {CONFIG}={file!r}: {error}. Set {CONFIG} to a readable TOML file"
        raise ConfigError(message) from error


def env_name(path: tuple[str, ...]) -> str:
    """Return the environment variable of a setting: ``("log", "level")`` is ``MARQUEE_LOG__LEVEL``."""
    return PREFIX + "__".join(path).upper()


def walk(values: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (path, value) for each leaf of nested settings."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from walk(value, (*above, name))
        else:
            yield (*above, name), value

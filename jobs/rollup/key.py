"""The viewer keys where tasks run. They do not travel with them: a unit names them by their fingerprint.

The process that plans keeps the keys of its settings. A worker of Spark takes them from settings of its own, which
are in its environment, or in the file that MARQUEE_CONFIG names there.
"""

from pydantic import SecretStr

from jobs.rollup.viewer import Keys, fingerprint, parse_keys
from marquee.errors import ConfigError
from marquee.settings.names import env_name

NAME = env_name(("rollup", "viewer_key"))
REMEDY = (
    f"Set {NAME} where tasks run, from a Secret: in the executors' environment, as the chart does, or in the "
    "environment in which the server of Spark Connect or Sail starts. Do not put it into Spark's configuration"
)

_kept: dict[str, Keys] = {}
"""Lists of keys that this process has, by fingerprint."""


def keep(setting: SecretStr) -> str:
    """Keep the keys of a setting for the tasks of this process, and return their fingerprint."""
    keys = parse_keys(setting.get_secret_value())
    of_keys = fingerprint(keys)
    _kept[of_keys] = keys
    return of_keys


def keys_of(of_keys: str) -> Keys:
    """Return the keys with a fingerprint. ConfigError if they are neither kept nor in the settings of this process."""
    if of_keys not in _kept:
        found = keep(_own_setting())
        if found != of_keys:
            message = (
                f"{NAME} of this task's machine has the fingerprint {found}, that of the run {of_keys}. {REMEDY}, the "
                "same key as for the run"
            )
            raise ConfigError(message)
    return _kept[of_keys]


def _own_setting() -> SecretStr:
    from jobs.rollup.settings import RollupSettings  # noqa: PLC0415 - only workers of Spark need it
    from marquee.settings.loading import WrongSettingsError, load_settings  # noqa: PLC0415 - as above

    try:  # the stores are named by the unit
        return load_settings(RollupSettings, lake="file:///-", raw="file:///-").rollup.viewer_key
    except WrongSettingsError as error:
        wrong = "; ".join(error.lines)
        message = f"A task has no viewer key on its machine: {wrong}. {REMEDY}"
        raise ConfigError(message) from error

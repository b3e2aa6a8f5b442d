"""The viewer key where tasks run. It does not travel with them: a unit names it by its fingerprint.

The process that plans keeps the key of its settings. A worker of Spark takes it from settings of its own, which are in
its environment, or in the file that MARQUEE_CONFIG names there.
"""

from pydantic import SecretStr

from jobs.rollup.viewer import fingerprint
from marquee.errors import ConfigError
from marquee.settings.names import env_name

NAME = env_name(("rollup", "viewer_key"))
REMEDY = (
    f"Set {NAME} where tasks run, from a Secret: in the executors' environment, as the chart does, or in the "
    "environment in which the server of Spark Connect or Sail starts. Do not put it into Spark's configuration"
)

_kept: dict[str, bytes] = {}
"""Keys that this process has, by fingerprint."""


def keep(key: SecretStr) -> str:
    """Keep a key for the tasks of this process, and return its fingerprint."""
    data = key.get_secret_value().encode()
    of_key = fingerprint(data)
    _kept[of_key] = data
    return of_key


def key_of(of_key: str) -> bytes:
    """Return the key with this fingerprint. ConfigError if it is neither kept nor in the settings of this process."""
    if of_key not in _kept:
        found = keep(_own_key())
        if found != of_key:
            message = (
                f"{NAME} of this task's machine has the fingerprint {found}, that of the run {of_key}. {REMEDY}, the "
                "same key as for the run"
            )
            raise ConfigError(message)
    return _kept[of_key]


def _own_key() -> SecretStr:
    from jobs.rollup.settings import RollupSettings  # noqa: PLC0415 - only workers of Spark need it
    from marquee.settings.loading import WrongSettingsError, load_settings  # noqa: PLC0415 - as above

    try:  # the stores are named by the unit
        return load_settings(RollupSettings, lake="file:///-", raw="file:///-").rollup.viewer_key
    except WrongSettingsError as error:
        wrong = "; ".join(error.lines)
        message = f"A task has no viewer key on its machine: {wrong}. {REMEDY}"
        raise ConfigError(message) from error

"""The row of the table ``kiosk``: the period of a mart, and how it protects small audiences.

Rows that were made with another floor or detail cannot be told from the others, so they are never mixed: a mart is
loaded only with the settings that it was created with. ``marquee mart upgrade`` empties it for other ones.
"""

from typing import NamedTuple

from marquee.errors import ConfigError
from marquee.mart.settings import MartSettings

KIOSK = "select period, detail, min_cell from kiosk"
EMPTY = "Run `marquee mart upgrade`, which empties it, and load it again from the lake"


class KioskRow(NamedTuple):
    """The columns of ``kiosk``."""

    period: str
    detail: str
    min_cell: int


def check_kiosk(where: str, found: KioskRow, settings: MartSettings) -> None:
    """Check that a mart was created with these settings; ConfigError if not."""
    check_period(where, found.period, settings)
    if not protects_alike(found, settings):
        message = (
            f"{where} was made with detail={found.detail} and min_cell={found.min_cell}, but the settings are "
            f"detail={settings.detail} and min_cell={settings.min_cell}. Set MARQUEE_MART__DETAIL and "
            f"MARQUEE_MART__MIN_CELL as it was made, or run `marquee mart upgrade`, which empties it for the settings, "
            "and load it again from the lake"
        )
        raise ConfigError(message)


def check_period(where: str, found: str, settings: MartSettings) -> None:
    """Check that a mart, of any version, is for the period of the settings; ConfigError if not."""
    if found != settings.period:
        message = (
            f"{where} is a mart for {found or 'all periods'}, but MARQUEE_MART__PERIOD={settings.period!r} selects "
            f"{settings.period or 'all periods'}. Set MARQUEE_MART__URL to another mart"
        )
        raise ConfigError(message)


def protects_alike(found: KioskRow, settings: MartSettings) -> bool:
    """Return whether a mart has the detail and the floor of the settings."""
    return (found.detail, found.min_cell) == (settings.detail, settings.min_cell)

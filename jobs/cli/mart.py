"""``marquee mart init`` and ``marquee mart upgrade``: create a mart, and upgrade its schema."""

import argparse
from collections.abc import Callable

from jobs.mart_load.settings import MartLoadSettings
from marquee.mart.admin import init_mart, upgrade_mart
from marquee.mart.settings import MartSettings
from marquee.report.console import say
from marquee.runs.arguments import mart_given
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names


def init(given: argparse.Namespace) -> int:
    """Create a mart."""
    return _act(init_mart, given)


def upgrade(given: argparse.Namespace) -> int:
    """Upgrade a mart."""
    return _act(upgrade_mart, given)


def _act(act: Callable[[MartSettings], list[str]], given: argparse.Namespace) -> int:
    check_names()
    for line in act(load_settings(MartLoadSettings, **mart_given(given)).mart):
        say(line)
    return 0

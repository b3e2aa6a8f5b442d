"""Checks of the settings: that there are any, that their names exist, and that each stage has all that it requires."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from jobs.cli.preflight.findings import Finding, Verdict, failures
from marquee.errors import ConfigError
from marquee.settings.loading import WrongSettingsError, load_settings
from marquee.settings.names import CONFIG, PREFIX, check_names, read_file
from marquee.settings.sections import StageSettings

Kinds = Mapping[str, type[StageSettings]]
"""The settings class of each stage, by the stage's name."""

ABOUT_LOGS = f"{PREFIX}LOG__"


def check_configured() -> Iterator[Finding]:
    """Check that anything is configured. If nothing is, a list of all missing settings would not help."""
    given = [name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() != CONFIG]
    if read_file() or any(not name.upper().startswith(ABOUT_LOGS) for name in given):
        return
    try:
        load_settings(StageSettings)
    except ConfigError as error:
        (missing, *_) = failures("settings", error)
        words = (
            f"nothing is configured; {missing.words}. Set {CONFIG} to the path of a TOML file with your settings, or "
            "set environment variables. `marquee demo` needs no settings, and shows what Marquee does"
        )
        yield Finding("settings", Verdict.FAILED, words, missing.exit_code)


def check_settings(kinds: Kinds) -> Iterator[Finding]:
    """Check that every stage has its settings; a setting that several stages lack is one finding."""
    try:
        check_names()
    except ConfigError as error:
        yield from failures("names of settings", error)
    wrong: dict[Finding, list[str]] = defaultdict(list)
    for stage, kind in kinds.items():
        try:
            load_settings(kind)
        except WrongSettingsError as error:
            for one in failures("", error):
                wrong[one].append(stage)
        else:
            yield Finding(_name([stage]), Verdict.OK, "complete and valid")
    for one, stages in wrong.items():
        yield Finding(_name(stages), one.verdict, one.words, one.exit_code)


def _name(stages: Sequence[str]) -> str:
    return f"settings of {', '.join(stage.replace('_', '-') for stage in stages)}"

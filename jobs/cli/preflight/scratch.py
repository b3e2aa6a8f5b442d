"""Checks of the scratch folder: that it exists and is writable, and that its disk has enough free space."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from jobs.cli.preflight.findings import Finding, Verdict
from jobs.cli.preflight.settings import Kinds
from marquee.engine.scratch import SETTING, check_scratch
from marquee.errors import ConfigError, MarqueeError
from marquee.machine import MIB
from marquee.settings.loading import load_settings
from marquee.settings.sections import StageSettings
from marquee.system_errors import user_name


def check_scratch_folder(kinds: Kinds) -> Iterator[Finding]:
    """Write to the scratch folder, and compare its free space with the most that one stage may need."""
    folder = check_scratch(load_settings(StageSettings).engine.scratch)
    free = shutil.disk_usage(folder).free // MIB
    needs = {stage: _needs_mb(settings) for stage, settings in _loaded(kinds)}
    stage = max(needs, key=lambda name: needs[name], default="")
    words = f"{folder}: written as {user_name()}; {free:,} MiB are free"
    if stage and free < needs[stage]:
        words += (
            f", but {stage} may need {needs[stage]:,} MiB. Free space, or set {SETTING} to a folder on another disk"
        )
        yield Finding("scratch folder", Verdict.WEAK, words)
    else:
        yield Finding("scratch folder", Verdict.OK, words)


def is_usable(folder: Path | None) -> bool:
    """Return whether the folder can hold temporary files; if not, that is a finding of its own."""
    try:
        check_scratch(folder)
    except MarqueeError:
        return False
    return True


def _loaded(kinds: Kinds) -> Iterator[tuple[str, StageSettings]]:
    for stage, kind in kinds.items():
        try:
            yield stage, load_settings(kind)
        except ConfigError:  # reported by the check of the settings
            continue


def _needs_mb(settings: StageSettings) -> int:
    """Return the MiB that a stage may spill and fetch: the size of its memory, and the raw objects of its tasks."""
    found = settings.model_dump()
    engine, rollup, mart = (found.get(name) or {} for name in ("engine", "rollup", "mart"))
    fetched = rollup.get("unit_mb", 0) * engine.get("workers", 1)
    return int(engine.get("memory_mb", 0) + fetched + mart.get("memory_mb", 0))

"""The checks of each stage, in order."""

from collections.abc import Iterator, Sequence
from functools import partial

from jobs.cli.preflight.clock import check_clock
from jobs.cli.preflight.findings import Check, Finding, Verdict
from jobs.cli.preflight.raw import PARSER, check_parser, check_raw
from jobs.cli.preflight.schedule import check_schedule
from jobs.cli.preflight.scratch import check_scratch_folder
from jobs.cli.preflight.settings import check_configured, check_settings
from jobs.cli.preflight.stores import check_conditional_writes, check_lake, check_listing
from jobs.mart_load.settings import MartLoadSettings
from jobs.registry import PIPELINE
from marquee.settings.loading import load_settings

STAGES = {job.name: job for job in PIPELINE}


def check_mart() -> Iterator[Finding]:
    """Connect to the mart; check its schema, its server and the user's rights for loading."""
    from marquee.mart.admin import check_mart as check  # noqa: PLC0415 - needs a driver that not every image has

    yield Finding("mart", Verdict.OK, check(load_settings(MartLoadSettings).mart))


def check_operator(stage: str) -> Iterator[Finding]:
    """Check that the operator runs a driver of the stage, which the launcher may create, follow and delete."""
    from jobs.launcher.check import check_launch  # noqa: PLC0415 - needs a client that not every image has

    yield Finding("spark operator", Verdict.OK, check_launch(stage))


OWN = {
    "schedule_fetch": Check("schedule service", check_schedule, after="scratch folder"),
    "rollup": Check("raw events", check_raw, after="settings"),
    "mart_load": Check("mart", check_mart, after="settings"),
}
"""Checks of a single stage, by its name."""


def checks_of(stages: Sequence[str] = tuple(STAGES), *, launcher: bool = False) -> list[Check]:
    """Return the checks of these stages; with ``launcher`` also those of their launchers."""
    kinds = {stage: STAGES[stage].settings for stage in stages}
    return [
        Check("settings", check_configured),
        Check("settings", partial(check_settings, kinds), after="settings"),
        Check("scratch folder", partial(check_scratch_folder, kinds), after="settings"),
        Check("lake", check_lake, after="settings"),
        Check("listing", check_listing, after="lake"),
        Check("clock", check_clock, after="lake"),
        Check("conditional writes", check_conditional_writes, after="lake"),
        *(OWN[stage] for stage in stages if stage in OWN),
        *(Check(PARSER, check_parser, after="settings") for stage in stages if stage == "rollup"),
        *(Check("spark operator", partial(check_operator, stage), after="settings") for stage in stages if launcher),
    ]

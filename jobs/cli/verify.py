"""``marquee verify``: checks every object of the lake, and names what to make again, with the commands."""

import argparse
import logging
from collections.abc import Collection, Container, Iterable, Iterator, Sequence

from jobs.registry import PIPELINE, command_of
from jobs.rollup.settings import RollupSettings
from jobs.rollup.stage import RollupStage
from marquee.calendar import Grain, Period
from marquee.engine.base import NO_ENGINE
from marquee.errors import ConfigError, CorruptLakeError, TryAgainError
from marquee.lake import keys
from marquee.lake.markers import Markers
from marquee.lake.verify import Checked, Finding, Problem, verify
from marquee.report.console import say, say_command
from marquee.report.tables import print_rows
from marquee.runs.command import progress_bar
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names
from marquee.settings.sections import StageSettings

log = logging.getLogger(__name__)

COLUMNS = ["stage", "period", "problem", "key", "reason", "command"]


def run(given: argparse.Namespace) -> int:
    """Verify the periods of the span; return 70 if an object is damaged or missing."""
    check_names()
    settings = load_settings(StageSettings)
    markers, checked = Markers(settings.store, indexed=False), Checked()
    with progress_bar("verify") as advance:
        # The same finding comes from each marker that was made from a missing one, and from each stale input.
        found = list({(one.key, one.problem): one for one in verify(markers, given.span, checked, advance)}.values())
    broken = [one for one in found if one.problem is not Problem.STALE]
    gone = _without_events(broken, markers)
    if given.format == "table":
        _print(found, broken, gone, checked, markers)
    else:
        rows = [
            [one.stage, one.period, one.problem, one.key, one.reason, next(repairs([one], gone, markers), "")]
            for one in found
        ]
        print_rows(COLUMNS, rows, given.format)
    return CorruptLakeError.exit_code if broken else 0


def _without_events(broken: Iterable[Finding], markers: Markers) -> set[Period]:
    """Return the damaged hours that force would make with fewer plays, because raw events of them are gone.

    The set is empty if the rollup is not configured here, or its raw store does not answer: nobody knows then.
    """
    hours = sorted({one.period for one in broken if one.stage == keys.ROLLUP})
    try:
        stage = RollupStage(load_settings(RollupSettings), markers, NO_ENGINE) if hours else None
        return {hour for hour in hours if stage and stage.lacks_events(hour)}
    except (ConfigError, TryAgainError) as error:
        if hours:
            log.warning("whether the raw events of damaged hours are there is unknown: %s", error)
        return set()


def repairs(broken: Iterable[Finding], gone: Container[Period], markers: Markers) -> Iterator[str]:
    """Yield the commands that make the damaged periods again, in the order of the pipeline, without duplicates.

    ``gone`` are hours that cannot be made again.
    """
    by_command: dict[str, set[Period]] = {job.command: set() for job in PIPELINE}
    for one in broken:
        if one.problem is not Problem.STALE and not one.key.endswith(keys.FAILED) and one.period not in gone:
            by_command[command_of(one.stage)].add(_narrowed(one, markers))
    for command, periods in by_command.items():
        for first, last in _ranges(sorted(periods)):
            asked = str(first) if first == last else f"--from {first} --to {last}"
            yield f"marquee {command} {asked} --force"


def _narrowed(one: Finding, markers: Markers) -> Period:
    """Return the period to name in the command: of a longer audience period one day, which makes it again too."""
    if one.stage != keys.AUDIENCE or one.period.grain is Grain.DAY:
        return one.period
    days = [*markers.of(keys.PROFILE), *markers.damaged(keys.PROFILE)]
    return max((day for day in days if day in one.period), default=one.period)


def _ranges(periods: Sequence[Period]) -> Iterator[tuple[Period, Period]]:
    first = last = None
    for period in periods:
        if first is None or last is None or last.next() != period:
            if first and last:
                yield first, last
            first = period
        last = period
    if first and last:
        yield first, last


def _print(
    found: Sequence[Finding], broken: Sequence[Finding], gone: Collection[Period], checked: Checked, markers: Markers
) -> None:
    if not checked.markers and not found:
        say(f"{markers.store.url} has no markers of these periods, so there is nothing to verify. Check MARQUEE_LAKE")
        return
    mib = checked.bytes / (1 << 20)
    ended = f" Retention has ended {checked.ended:,} other objects." if checked.ended else ""
    say(f"Verified {checked.markers:,} markers and {checked.objects:,} objects ({mib:,.1f} MiB).{ended}")
    stale = [one for one in found if one.problem is Problem.STALE]
    for title, listed in (("Damaged or missing", broken), ("Stale, not damaged", stale)):
        if listed:
            say(f"\n{title}: {len(listed):,}", "bold")
        for one in listed:
            say(f"{one.problem}: {one.stage} {one.period}")
            say(f"  {one.reason}", "dim")
    if not broken:
        say("\nNothing is damaged." if stale else "Nothing is damaged or missing.")
        return
    if gone:
        say("\nRaw events of these hours are gone. Restore their objects from a backup:", "bold")
        for hour in sorted(gone):
            say(f"  {hour}")
        say("Without a backup, `marquee rollup HOUR --force` counts what is left of an hour.")
    commands = list(repairs(broken, gone, markers))
    todo = "Restore these objects from a backup, or make their periods again, in this order:" if commands else "Then:"
    say(f"\n{todo}", "bold")
    for command in (*commands, "marquee run"):
        say_command(f"  {command}")
    say(
        "The last command makes what follows: periods that waited or failed, and the mart. An hour needs its raw "
        "events, a day of schedule its service: if they are gone, restore the objects."
    )

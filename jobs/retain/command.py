"""``marquee retain``: lists what ends by the settings of retention, or ends it."""

import argparse
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from jobs.retain.carry_out import Outcome, carry_out, totals
from jobs.retain.layers import plan_removals
from jobs.retain.plan import Context, Kept, Plan
from jobs.retain.settings import RetainSettings
from marquee.calendar import EVER, Span
from marquee.errors import ConfigError, CorruptLakeError
from marquee.lake.ended import Deleted
from marquee.lake.layers import SUPERSEDED
from marquee.lake.markers import Markers
from marquee.lake.rekeyed import check_not_rekeying
from marquee.report.console import say, say_command
from marquee.runs.command import progress_bar
from marquee.runs.stage import Advance
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names
from marquee.storage.base import Store

log = logging.getLogger(__name__)

DIGEST_SHOWN = 12
TODAY = "today"
SHOWN = 20
CLOCKS_APART = timedelta(hours=1)
"""Most difference of this machine's clock from the store's: a wrong clock would end what is young."""


def run(given: argparse.Namespace) -> int:
    """List the plan of today; or carry out exactly the plan with a digest, or all plans of a day."""
    check_names()
    settings, now = load_settings(RetainSettings), datetime.now(UTC)
    if not settings.retention.on:
        say("Nothing ends, because no days are set. See MARQUEE_RETENTION__RAW_DAYS in docs/settings.md.")
        return 0
    _check_clock(settings.store, now)
    if given.yes_plan_of is not None:
        today = start_of(given.yes_plan_of, now)
        with progress_bar("retain") as advance:
            outcome = retain(settings, today, advance)
        _print_outcome(outcome)
        return _code(outcome)
    context, plan = _plan(settings, start_of(TODAY, now))
    digest = plan.digest[:DIGEST_SHOWN]
    if given.delete not in {None, digest}:
        message = (
            f"--delete {given.delete} differs from the plan's digest {digest}: the data, the settings or the day have "
            "changed. Nothing was deleted. Run marquee retain to see the plan"
        )
        raise ConfigError(message)
    if given.delete is None:
        _print_plan(plan, digest)
        return 0
    with progress_bar("retain") as advance:
        outcome = carry_out(context, plan, advance)
    _print_outcome(outcome)
    return _code(outcome)


def retain(settings: RetainSettings, today: datetime, advance: Advance) -> Outcome:
    """Carry out the plans of a day, one after the other, until there is nothing more to delete."""
    every = Outcome()
    while True:
        context, plan = _plan(settings, today)
        outcome = carry_out(context, plan, advance)
        for layer, deleted in outcome.deleted.items():
            every.add(layer, deleted.objects, deleted.bytes)
        every.kept, every.damage = [*plan.kept, *outcome.kept], [*every.damage, *outcome.damage]
        if not plan.more or not any(one.objects for one in outcome.deleted.values()):
            return every


@dataclass(frozen=True)
class Retained:
    """The result of a run without a person: the number of objects that were deleted, and of findings of damage."""

    changed: int
    failures: int
    note: str

    @property
    def exit_code(self) -> int:
        """0, or the code of damage."""
        return CorruptLakeError.exit_code if self.failures else 0


def run_today(settings: RetainSettings, markers: Markers, span: Span, *, force: bool, advance: Advance) -> Retained:
    """Carry out the plans of today; ConfigError if a period is given, because the settings decide what ends."""
    if span != EVER or force:
        message = "retain takes no period and no force: the days of MARQUEE_RETENTION__… decide what ends"
        raise ConfigError(message)
    if not settings.retention.on:
        return Retained(0, 0, "nothing ends, because no days are set")
    now = datetime.now(UTC)
    _check_clock(markers.store, now)
    outcome = retain(settings, start_of(TODAY, now), advance)
    for one in outcome.damage:
        log.error("%s", one)
    for kept in outcome.kept[:SHOWN]:
        log.info("%s %s is kept although its time is over: %s", kept.layer.name, kept.period, kept.reason)
    objects = sum(one.objects for one in outcome.deleted.values())
    return Retained(objects, len(outcome.damage), f"{len(outcome.kept)} periods are kept although their time is over")


def start_of(text: str, now: datetime) -> datetime:
    """Return the start of a day, which is ``today`` or its name; ConfigError if it is not over, or not a day."""
    if text == TODAY:
        day = now.date()
    else:
        try:
            day = date.fromisoformat(text)
        except ValueError as error:
            message = f"--yes-plan-of {text}: expected a day, such as {now:%Y-%m-%d}, or {TODAY}"
            raise ConfigError(message) from error
    if day > now.date():
        message = f"--yes-plan-of {text}: this day has not come yet, it is {now:%Y-%m-%d} in UTC. Nothing was deleted"
        raise ConfigError(message)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _plan(settings: RetainSettings, today: datetime) -> tuple[Context, Plan]:
    markers = Markers(settings.store, writes_index=True)
    check_not_rekeying(markers)
    return Context(settings, markers, today), plan_removals(settings, markers, today)


def _check_clock(store: Store, now: datetime) -> None:
    server = store.server_time()
    if server is not None and abs(server - now) > CLOCKS_APART:
        message = (
            f"This machine's clock says {now:%Y-%m-%d %H:%M} UTC, that of {store.url} {server:%Y-%m-%d %H:%M}. Nothing "
            "was deleted, because ages would be wrong. Set the clock"
        )
        raise ConfigError(message)


def _code(outcome: Outcome) -> int:
    return CorruptLakeError.exit_code if outcome.damage else 0


def _print_plan(plan: Plan, digest: str) -> None:
    rows: list[Sequence[object]] = [
        [name, periods, objects, size] for name, (periods, objects, size) in totals(plan.removals).items()
    ]
    if plan.garbage:
        rows.append(
            [
                SUPERSEDED.name,
                len(plan.garbage),
                sum(one.objects for one in plan.garbage),
                sum(one.bytes for one in plan.garbage),
            ]
        )
    _print_kept(plan.kept)
    if not rows:
        say("There is nothing to end.")
        return
    from marquee.report.tables import print_rows  # noqa: PLC0415 - the job in its image prints no tables

    print_rows(["ends", "periods", "objects", "bytes"], rows, "table")
    for one in plan.removals[:1]:
        say(f"From {one.period} ({one.layer.name}).", "dim")
    more = " There is more than fits into one plan; the next one has it." if plan.more else ""
    say(f"DRY RUN: nothing was deleted.{more} To end exactly this, today:")
    say_command(f"  marquee retain --delete {digest}")


def _print_kept(kept: Iterable[Kept]) -> None:
    listed = list(kept)
    if not listed:
        return
    say(f"Kept although their time is over: {len(listed):,} periods; the first {SHOWN}:", "bold")
    for one in listed[:SHOWN]:
        say(f"{one.layer.name} {one.period}: {one.objects:,} objects")
        say(f"  {one.reason}", "dim")


def _print_outcome(outcome: Outcome) -> None:
    _print_kept(outcome.kept)
    for one in outcome.damage[:SHOWN]:
        log.error("%s", one)
    total = sum((one.objects for one in outcome.deleted.values()), 0)
    named = ", ".join(f"{name} {_said(one)}" for name, one in outcome.deleted.items() if one.objects)
    say(f"Deleted {total:,} objects{': ' if named else ''}{named}.")


def _said(deleted: Deleted) -> str:
    return f"{deleted.objects:,} ({deleted.bytes / (1 << 20):,.1f} MiB)"

"""``marquee gc``: lists the lake's garbage, or deletes it."""

import argparse
from datetime import UTC, datetime, timedelta

from marquee.errors import ConfigError
from marquee.lake.erasure_progress import note_completed
from marquee.lake.garbage import collect, plan_digest, plan_garbage
from marquee.lake.markers import Markers
from marquee.lake.rekeyed import check_not_rekeying
from marquee.lake.superseded import GRACE
from marquee.report.console import say, say_command
from marquee.report.tables import print_rows
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names
from marquee.settings.sections import StageSettings

DIGEST_SHOWN = 12
ANY = "all"
"""Instead of a digest, for a job that nobody looks at: the plan of this moment, whatever it is."""


def run(given: argparse.Namespace) -> int:
    """List the garbage, or delete exactly the plan with the given digest."""
    check_names()
    settings = load_settings(StageSettings)
    grace = GRACE if given.grace_hours is None else given.grace_hours
    markers = Markers(settings.store)
    check_not_rekeying(markers)  # what it has replaced is read until its end
    plan = plan_garbage(settings.store, markers, datetime.now(UTC), grace)
    digest = plan_digest(plan)[:DIGEST_SHOWN]
    if given.delete not in {None, digest, ANY}:
        message = f"--delete {given.delete} differs from the plan's digest {digest}. Run marquee gc to see the plan"
        raise ConfigError(message)
    if not plan:
        say(f"There is no garbage older than {grace / timedelta(hours=1):g} hours.")
        _note_completed(settings)
        return 0
    print_rows(["garbage", "objects", "bytes"], [[one.prefix, one.objects, one.bytes] for one in plan], "table")
    if given.delete is None:
        again = "" if given.grace_hours is None else f" --grace-hours {grace / timedelta(hours=1):g}"
        say("DRY RUN: nothing was deleted. To delete exactly these objects:")
        say_command(f"  marquee gc{again} --delete {digest}")
    else:
        say(f"Deleted {sum(one.objects for one in collect(settings.store, plan)):,} objects.")
        _note_completed(settings)
    return 0


def _note_completed(settings: StageSettings) -> None:
    for one in note_completed(Markers(settings.store), datetime.now(UTC)):
        say(f"Nothing is left of the viewers of request {one}.")

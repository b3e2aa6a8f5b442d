"""Checks of this machine's clock, against those of the servers that it asks."""

from collections.abc import Iterator
from datetime import UTC, datetime

from jobs.cli.preflight.findings import Finding, Verdict
from marquee.settings.loading import load_settings
from marquee.settings.sections import StageSettings

WEAK_S = 5
"""Seconds beyond which a clock is wrong: answers take time, and servers tell whole seconds."""


def check_clock() -> Iterator[Finding]:
    """Compare the clock with that of the lake's S3 server; a folder has none of its own."""
    store = load_settings(StageSettings).store
    served = store.server_time()
    if served is not None:
        yield judge_clock(store.url, (datetime.now(UTC) - served).total_seconds())


def judge_clock(server: str, ahead_s: float) -> Finding:
    """Judge by how many seconds this machine's clock is ahead of a server's."""
    if abs(ahead_s) <= WEAK_S:
        return Finding("clock", Verdict.OK, f"within {WEAK_S} seconds of that of {server}")
    words = (
        f"{abs(ahead_s):,.0f} seconds {'ahead of' if ahead_s > 0 else 'behind'} that of {server}: set this machine's "
        "clock (NTP). S3 refuses requests from 15 minutes on, and hours are rolled up too early or too late"
    )
    return Finding("clock", Verdict.WEAK, words)

"""Compares this machine's clock with those of the servers."""

from collections.abc import Iterator
from datetime import UTC, datetime

from jobs.cli.preflight.findings import Finding, Verdict
from marquee.settings.loading import load_settings
from marquee.settings.sections import StageSettings

WEAK_S = 5
"""Tolerated difference in seconds: answers take time, and servers return whole seconds."""


def check_clock() -> Iterator[Finding]:
    """Compare the clock with that of the lake's S3 server. A folder has no clock of its own."""
    store = load_settings(StageSettings).store
    served = store.server_time()
    if served is not None:
        yield validate_clock(store.url, (datetime.now(UTC) - served).total_seconds())


def validate_clock(server: str, ahead_s: float) -> Finding:
    """Return the finding for a clock that is ``ahead_s`` seconds ahead of a server's."""
    if abs(ahead_s) <= WEAK_S:
        return Finding("clock", Verdict.OK, f"within {WEAK_S} seconds of the clock of {server}")
    words = (
        f"{abs(ahead_s):,.0f} seconds {'ahead of' if ahead_s > 0 else 'behind'} the clock of {server}. Set this "
        "machine's clock (NTP): S3 refuses requests that are 15 minutes off, and hours are rolled up too early or late"
    )
    return Finding("clock", Verdict.WEAK, words)

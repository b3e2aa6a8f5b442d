"""Checks of the schedule service: fetches one day of every country, with the stage's rate limit."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from jobs.cli.preflight.clock import validate_clock
from jobs.cli.preflight.findings import Finding, Verdict
from jobs.schedule_fetch.settings import WEB, ScheduleFetchOptions, ScheduleFetchSettings
from marquee.engine.scratch import own_scratch
from marquee.settings.loading import load_settings


def check_schedule(today: date | None = None) -> Iterator[Finding]:
    """Fetch one day; count its episodes, and name the countries without any."""
    from jobs.schedule_fetch.client import ScheduleClient  # noqa: PLC0415 - packages that not every image has
    from jobs.schedule_fetch.normalise import normalise  # noqa: PLC0415
    from jobs.schedule_fetch.stage import check_rejects  # noqa: PLC0415

    options = load_settings(ScheduleFetchSettings).schedule_fetch
    day = _day(options, today or datetime.now(UTC).date())
    with ScheduleClient(options) as client, TemporaryDirectory(prefix="marquee-schedule-", dir=own_scratch()) as name:
        folder = Path(name)
        asked = {code: client.fetch(f"country={code}", day, folder) for code in options.countries}
        asked[WEB] = client.fetch(WEB, day, folder)
        ahead_s = client.clock_ahead_s
        schedule = normalise({one.source: one.items() for one in asked.values()}, folder)
    check_rejects(schedule, options, str(day))
    without = [name for name, answer in asked.items() if not answer.rows]
    words = f"{options.url}: {schedule.counts['episodes']:,} episodes on {day}, from {len(asked)} responses"
    if without:
        nothing = f"{words}; nothing from {', '.join(without)}. Check MARQUEE_SCHEDULE_FETCH__COUNTRIES"
        yield Finding("schedule service", Verdict.WEAK, nothing)
    else:
        yield Finding("schedule service", Verdict.OK, words)
    if ahead_s is not None:
        yield validate_clock(options.url, ahead_s)


def _day(options: ScheduleFetchOptions, today: date) -> date:
    """Return yesterday, whose schedule is complete, or the nearest day to it that the settings capture."""
    first = options.first_day or today - timedelta(days=options.days_back)
    last = options.last_day or today + timedelta(days=options.days_ahead)
    return max(first, min(last, today - timedelta(days=1)))

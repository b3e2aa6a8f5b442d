"""Checks of the raw store: the objects in the newest hours' folders, objects elsewhere, and the right to read."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from jobs.cli.preflight.findings import Finding, Verdict
from jobs.cli.preflight.scratch import is_usable
from jobs.cli.preflight.stores import as_user
from marquee.calendar import Period
from marquee.errors import ConfigError
from marquee.settings.loading import load_settings
from marquee.storage.base import ObjectInfo, Store

if TYPE_CHECKING:  # not every image has what it needs
    from jobs.rollup.inventory import Layout

MOST_HOURS = 48
MOST_OBJECTS = 10_000
NAMED = 3
"""Maximum number of keys and folders elsewhere to name."""
ANY_KEY = "0123456789abcdef"
"""Placeholder for the viewer key: a missing key is a finding of its own, and reading the raw events needs none."""


@dataclass
class Survey:
    """Result of a bounded listing of the raw store, newest hours first.

    Attributes:
        hours: objects with events, by hour.
        endings: number of objects with events, by file name ending.
        passed_over: number of objects in hours' folders that are not read because of their ending, by ending.
        elsewhere: number of objects outside the hours' folders, by key or folder.
        bounded: whether the listing stopped at its limit.
    """

    hours: dict[Period, list[ObjectInfo]] = field(default_factory=dict)
    endings: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)
    elsewhere: dict[str, int] = field(default_factory=dict)
    bounded: bool = False

    @property
    def objects(self) -> int:
        """Number of objects with events."""
        return self.endings.total()


def check_raw() -> Iterator[Finding]:
    """List the newest hours of raw events, and validate a sample of their lines."""
    from jobs.cli.preflight.events import validate_events  # noqa: PLC0415 - packages that not every image has
    from jobs.rollup.inventory import nothing_there  # noqa: PLC0415
    from jobs.rollup.settings import RollupSettings  # noqa: PLC0415

    settings = load_settings(RollupSettings, rollup={"viewer_key": ANY_KEY})
    store = settings.open(settings.raw)
    found = survey(store, settings.rollup.layout)
    if not found.hours:
        raise nothing_there(store, settings.rollup.layout)
    _check_readable(store, found)
    yield _finding(store, found)
    if is_usable(settings.engine.scratch):
        yield from validate_events(settings, store, found.hours)


def survey(store: Store, layout: "Layout") -> Survey:
    """List the newest hours, and what is next to their folders, up to a number of hours and objects."""
    from jobs.rollup.inventory import walk_newest_first  # noqa: PLC0415 - as above

    found = Survey()
    for name, hour in walk_newest_first(store, layout):
        if len(found.hours) >= MOST_HOURS or found.objects >= MOST_OBJECTS:
            found.bounded = True
            break
        if hour is None:
            _count_elsewhere(store, name, found)
        else:
            _count_hour(store, layout, name, found)
    return found


def _count_hour(store: Store, layout: "Layout", folder: str, found: Survey) -> None:
    from jobs.rollup.inventory import has_events, is_sidecar  # noqa: PLC0415 - as above

    for info in islice(store.list(folder), MOST_OBJECTS):
        hour = layout.hour_of(info.key)
        if hour is None:
            found.elsewhere[info.key] = 1
        elif has_events(info.key):
            found.hours.setdefault(hour, []).append(info)
            found.endings[_ending(info.key)] += 1
        elif not is_sidecar(info.key):
            found.passed_over[_ending(info.key)] += 1


def _count_elsewhere(store: Store, name: str, found: Survey) -> None:
    count = len(list(islice(store.list(name), MOST_OBJECTS))) if name.endswith("/") else 1
    if count:
        found.elsewhere[name] = count


def _ending(key: str) -> str:
    """Return the ending of a key's name, such as ``.json.gz`` or ``.csv``."""
    name = key.rpartition("/")[2]
    parts = name.split(".")[1:]
    return "." + ".".join(parts[-2:] if parts[-1:] == ["gz"] else parts[-1:]) if parts else "no ending"


def _check_readable(store: Store, found: Survey) -> None:
    newest = found.hours[max(found.hours)][0]
    if store.head(newest.key) is None:
        message = f"{store.url}/{newest.key} is listed, but cannot be read. Check the policy of the bucket"
        raise ConfigError(message)


def _finding(store: Store, found: Survey) -> Finding:
    first, last = min(found.hours), max(found.hours)
    limited = f"newest {MOST_HOURS} hours only, " if found.bounded else ""
    hours = str(first) if first == last else f"{first} to {last}"
    words = f"{store.url}: listed and read{as_user(store)}; {limited}{hours}: {_counts(found.endings)}"
    if found.passed_over:
        words += f"; never read, because of their endings: {_counts(found.passed_over)}"
    if found.elsewhere:
        named = ", ".join(list(found.elsewhere)[:NAMED])
        more = ", …" if len(found.elsewhere) > NAMED else ""
        words += (
            f"; never read, because in no hour's folder: {sum(found.elsewhere.values()):,} objects ({named}{more}). "
            "Check MARQUEE_ROLLUP__PATH"
        )
    weak = found.passed_over or found.elsewhere
    return Finding("raw events", Verdict.WEAK if weak else Verdict.OK, words)


def _counts(endings: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {ending}" for ending, count in sorted(endings.items()))

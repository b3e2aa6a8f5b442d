"""Checks of the raw events: what is in the newest hours' folders, what is elsewhere, and whether it can be read."""

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
"""How many of the keys, or folders, that lie elsewhere are named."""
ANY_KEY = "0123456789abcdef"
"""A viewer key that nobody uses: where it is missing, that is a finding of its own, and the raw events can be read."""


@dataclass
class Survey:
    """What a bounded look at the raw store found, newest hours first.

    Attributes:
        hours: objects with events by hour.
        endings: how many objects have each ending, among those with events.
        passed_over: how many objects in hours' folders have each ending, among those that should have events, yet are
            not read.
        elsewhere: keys and folders in no hour's folder, with the number of objects.
        bounded: whether it ended before everything was seen.
    """

    hours: dict[Period, list[ObjectInfo]] = field(default_factory=dict)
    endings: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)
    elsewhere: dict[str, int] = field(default_factory=dict)
    bounded: bool = False

    @property
    def objects(self) -> int:
        """How many objects with events were seen."""
        return self.endings.total()


def check_raw() -> Iterator[Finding]:
    """List the newest hours of raw events, and read some of their lines against the event contract."""
    from jobs.cli.preflight.events import judge_events  # noqa: PLC0415 - packages that not every image has
    from jobs.rollup.inventory import nothing_there  # noqa: PLC0415
    from jobs.rollup.settings import RollupSettings  # noqa: PLC0415

    settings = load_settings(RollupSettings, rollup={"viewer_key": ANY_KEY})
    store = settings.open(settings.raw)
    found = survey(store, settings.rollup.layout)
    if not found.hours:
        raise nothing_there(store, settings.rollup.layout)
    _check_readable(store, found)
    yield _judge(store, found)
    if is_usable(settings.engine.scratch):
        yield from judge_events(settings, store, found.hours)


def survey(store: Store, layout: "Layout") -> Survey:
    """Look at the newest hours, and at what lies beside them on the way, up to a number of hours and objects."""
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
    """Return the end of a key's name that says what it holds: ``.json.gz``, ``.csv``."""
    name = key.rpartition("/")[2]
    parts = name.split(".")[1:]
    return "." + ".".join(parts[-2:] if parts[-1:] == ["gz"] else parts[-1:]) if parts else "no ending"


def _check_readable(store: Store, found: Survey) -> None:
    newest = found.hours[max(found.hours)][0]
    if store.head(newest.key) is None:
        message = f"{store.url}/{newest.key} is listed, but cannot be read: check the policy of the bucket"
        raise ConfigError(message)


def _judge(store: Store, found: Survey) -> Finding:
    first, last = min(found.hours), max(found.hours)
    seen = f"of the newest {MOST_HOURS} hours, " if found.bounded else ""
    hours = str(first) if first == last else f"{first} to {last}"
    words = f"{store.url}: listed and read{as_user(store)}; {seen}{hours}: {_counts(found.endings)}"
    if found.passed_over:
        words += f"; never read, because of their endings: {_counts(found.passed_over)}"
    if found.elsewhere:
        named = ", ".join(list(found.elsewhere)[:NAMED])
        more = ", …" if len(found.elsewhere) > NAMED else ""
        words += (
            f"; never read, because in no hour's folder: {sum(found.elsewhere.values()):,} objects ({named}{more}): "
            "check MARQUEE_ROLLUP__PATH"
        )
    weak = found.passed_over or found.elsewhere
    return Finding("raw events", Verdict.WEAK if weak else Verdict.OK, words)


def _counts(endings: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {ending}" for ending, count in sorted(endings.items()))

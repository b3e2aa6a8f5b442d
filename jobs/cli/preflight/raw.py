"""Checks of the raw store: the objects in the newest hours' folders, objects elsewhere, and the right to read."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from jobs.cli.preflight.findings import Finding, Verdict
from jobs.cli.preflight.scratch import is_usable
from jobs.cli.preflight.stores import as_user
from marquee.calendar import Period
from marquee.compiled import REMEDY
from marquee.errors import BadInputError, ConfigError
from marquee.settings.loading import load_settings
from marquee.storage.base import ObjectInfo, Store

if TYPE_CHECKING:  # not every image has what it needs
    from jobs.rollup.inventory import Inventory
    from jobs.rollup.layout import Layout

MOST_HOURS = 48
MOST_OBJECTS = 10_000
NAMED = 3
"""Maximum number of keys and folders elsewhere to name."""
PARSER = "parser"
ANY_KEY = "0123456789abcdef"
"""Placeholder for the viewer key: a missing key is a finding of its own, and reading the raw events needs none."""


@dataclass
class Survey:
    """Result of a bounded listing of the raw store, newest hours first.

    Attributes:
        found: the objects by class.
        endings: number of objects that are read, by ending.
        other: number of objects that are not read because of their ending, by ending.
        elsewhere: number of objects in no hour's folder, by key or folder.
        bounded: whether the listing stopped at its limit.
    """

    found: "Inventory"
    endings: Counter[str] = field(default_factory=Counter)
    other: Counter[str] = field(default_factory=Counter)
    elsewhere: dict[str, int] = field(default_factory=dict)
    bounded: bool = False

    @property
    def unread(self) -> list[Period]:
        """The hours with unexpected objects, none of which is read: their rollup fails."""
        return sorted(set(self.found.unread) - set(self.found.hours))


def check_parser() -> Iterator[Finding]:
    """Say what reads JSON lines here."""
    from jobs.rollup.compiled import why_not_compiled  # noqa: PLC0415 - packages that not every image has
    from jobs.rollup.settings import RollupSettings  # noqa: PLC0415

    if load_settings(RollupSettings, rollup={"viewer_key": ANY_KEY}).rollup.parser == "sql":
        yield Finding(PARSER, Verdict.OK, "SQL reads JSON lines, as MARQUEE_ROLLUP__PARSER says")
    elif reason := why_not_compiled():
        words = f"SQL reads JSON lines, which takes about three times as long: {reason}. {REMEDY}"
        yield Finding(PARSER, Verdict.WEAK, words)
    else:
        yield Finding(PARSER, Verdict.OK, "compiled code reads JSON lines")


def check_raw() -> Iterator[Finding]:
    """List the newest hours of raw events, and validate a sample of their lines."""
    from jobs.cli.preflight.events import validate_events  # noqa: PLC0415 - packages that not every image has
    from jobs.rollup.inventory import nothing_there  # noqa: PLC0415
    from jobs.rollup.settings import RollupSettings  # noqa: PLC0415

    settings = load_settings(RollupSettings, rollup={"viewer_key": ANY_KEY})
    store, layout = settings.open(settings.raw), settings.rollup.layout
    seen = survey(store, layout, settings.rollup.ignore)
    if not seen.found.known:
        raise nothing_there(store, layout)
    _check_readable(store, seen)
    yield _finding(store, seen)
    if seen.found.hours and is_usable(settings.engine.scratch):
        yield from validate_events(settings, store, seen.found.hours)


def survey(store: Store, layout: "Layout", ignore: Sequence[str] = ()) -> Survey:
    """List the newest hours, and what is next to their folders, up to a number of hours and objects."""
    from jobs.rollup.inventory import Inventory, walk_newest_first  # noqa: PLC0415 - as above

    seen = Survey(Inventory())
    for name, _ in walk_newest_first(store, layout):
        if len(seen.found.known) >= MOST_HOURS or seen.endings.total() >= MOST_OBJECTS:
            seen.bounded = True
            break
        # An object's key is a prefix of other keys, too, and comes first.
        for info in islice(store.list_all(name), MOST_OBJECTS if name.endswith("/") else 1):
            _count(info, layout, ignore, name, seen)
    return seen


def _count(info: ObjectInfo, layout: "Layout", ignore: Sequence[str], name: str, seen: Survey) -> None:
    from jobs.rollup.inventory import Kind, classify  # noqa: PLC0415 - as above

    placed = classify(info, layout, ignore)
    if placed is None:
        return
    kind, hour = placed
    seen.found.add(info, kind, hour)
    if kind is Kind.READ:
        seen.endings[_ending(info.key)] += 1
    elif kind is Kind.OTHER_ENDING:
        seen.other[_ending(info.key)] += 1
    elif kind is Kind.NO_HOUR:
        at = name if name.endswith("/") else info.key
        seen.elsewhere[at] = seen.elsewhere.get(at, 0) + 1


def _ending(key: str) -> str:
    """Return the ending of a key's name, such as ``.json.gz`` or ``.csv``."""
    from jobs.rollup.inventory import COMPRESSIONS  # noqa: PLC0415 - as above

    name = key.rpartition("/")[2]
    parts = name.split(".")[1:]
    compressed = parts[-1:] and parts[-1].lower() in COMPRESSIONS
    return "." + ".".join(parts[-2:] if compressed else parts[-1:]) if parts else "no ending"


def _check_readable(store: Store, seen: Survey) -> None:
    if not seen.found.hours:
        return
    newest = seen.found.hours[max(seen.found.hours)][0]
    if store.head(newest.key) is None:
        message = f"{store.url}/{newest.key} is listed, but cannot be read. Check the policy of the bucket"
        raise ConfigError(message)


def _finding(store: Store, seen: Survey) -> Finding:
    first, last = min(seen.found.known), max(seen.found.known)
    limited = f"newest {MOST_HOURS} hours only, " if seen.bounded else ""
    hours = str(first) if first == last else f"{first} to {last}"
    words = (
        f"{store.url}: listed and read{as_user(store)}; {limited}{hours}: {_counts(seen.endings) or 'nothing to read'}"
    )
    never = list(_never_read(seen))
    if not never:
        return Finding("raw events", Verdict.OK, words)
    words = "; ".join([words, *(f"never read, because {one}" for one in never)])
    words += ". Check MARQUEE_ROLLUP__PATH, or name what is expected in MARQUEE_ROLLUP__IGNORE"
    if seen.unread:
        words += f". The rollup of {seen.unread[0]} fails, because none of its objects is read"
        return Finding("raw events", Verdict.FAILED, words, BadInputError.exit_code)
    return Finding("raw events", Verdict.WEAK, words)


def _never_read(seen: Survey) -> Iterator[str]:
    from jobs.rollup.inventory import Kind  # noqa: PLC0415 - as above

    if seen.other:
        yield f"of their endings: {_counts(seen.other)}"
    if seen.elsewhere:
        named = ", ".join(list(seen.elsewhere)[:NAMED])
        more = ", …" if len(seen.elsewhere) > NAMED else ""
        yield f"in no hour's folder: {sum(seen.elsewhere.values()):,} objects ({named}{more})"
    if links := seen.found.totals()[Kind.SYMLINK]:
        yield f"they are symbolic links: {links:,} ({seen.found.examples[Kind.SYMLINK]})"


def _counts(endings: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {ending}" for ending, count in sorted(endings.items()))

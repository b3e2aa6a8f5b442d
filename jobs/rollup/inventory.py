"""Inventory of the raw store: every object below the topic's root, in exactly one class.

Objects of the class ``read`` are the inputs of their hour. The others are counted, so that nothing is lost in silence:
by hour where they are in an hour's folder, otherwise for the whole listing.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import translate
from functools import lru_cache
from itertools import chain

from jobs.rollup.layout import Layout
from marquee.calendar import EVER, Period, Span
from marquee.errors import ConfigError
from marquee.storage.base import ObjectInfo, Store, in_parallel
from marquee.storage.local import LocalStore

ENDINGS = ("json", "jsonl", "ndjson", "avro", "parquet")
COMPRESSIONS = ("gz", "gzip", "zst", "zstd", "bz2", "lz4", "snappy")
SIDECARS = (".keys.", ".headers.")
HIDDEN = (".", "_")
FOLDER = "_$folder$"
"""End of the names of the empty objects with which Hadoop marks a folder."""
NAMES_SHOWN = 10

_READ = re.compile(
    rf"([^.]+|.+\.({'|'.join(ENDINGS)}))(\.({'|'.join(COMPRESSIONS)}))?", re.ASCII | re.DOTALL | re.IGNORECASE
)


class Kind(StrEnum):
    """The classes of raw objects."""

    READ = "read"
    SIDECAR = "sidecar"
    HIDDEN = "hidden"
    FOLDER_MARKER = "folder_marker"
    IGNORED = "ignored"
    OTHER_ENDING = "other_ending"
    NO_HOUR = "no_hour"
    SYMLINK = "symlink"


UNEXPECTED: Mapping[Kind, str] = {
    Kind.OTHER_ENDING: "with another ending",
    Kind.NO_HOUR: "in no hour's folder, or in that of an implausible hour",
    Kind.SYMLINK: "that are symbolic links",
}
"""The classes of which a run warns."""

EARLIEST = datetime(2011, 1, 1, tzinfo=UTC)
"""Start of the first plausible hour: there was no Kafka before. A time that was not set is often in 1970 or 2000."""


@dataclass
class Inventory:
    """Result of a listing.

    Attributes:
        hours: the objects that are read, in the order of keys, by hour in order.
        unread: the objects in the folders of hours that are not read, but may be events, by hour.
        ignored: keys of the objects that ``rollup.ignore`` names.
        links: the links by key.
        kinds: number of objects by class, by hour; None for objects in no hour's folder.
        examples: the first key of each class.
        strays: starts of the days in whose folders, but in no hour's, there are objects of unexpected classes.
        beside: hours outside the span with objects that are events, or may be, as far as the listing shows them: it is
            by day, or by month.
    """

    hours: dict[Period, list[ObjectInfo]] = field(default_factory=dict)
    unread: dict[Period, list[ObjectInfo]] = field(default_factory=lambda: defaultdict(list))
    ignored: set[str] = field(default_factory=set)
    links: dict[str, ObjectInfo] = field(default_factory=dict)
    kinds: dict[Period | None, Counter[Kind]] = field(default_factory=lambda: defaultdict(Counter))
    examples: dict[Kind, str] = field(default_factory=dict)
    beside: set[Period] = field(default_factory=set)
    strays: set[datetime] = field(default_factory=set)

    def add(self, info: ObjectInfo, kind: Kind, hour: Period | None) -> None:
        """Add an object of a class, and of an hour if it is in an hour's folder."""
        if info.link:  # the link of a folder is listed once for each prefix below it
            if info.key in self.links:
                return
            self.links[info.key] = info
        self.kinds[hour][kind] += 1
        self.examples.setdefault(kind, info.key)
        if kind is Kind.IGNORED:
            self.ignored.add(info.key)
        elif hour is not None and kind is Kind.READ:
            self.hours.setdefault(hour, []).append(info)
        elif hour is not None and _may_be_events(info, kind):
            self.unread[hour].append(info)

    @property
    def known(self) -> set[Period]:
        """The hours with objects that are events, or may be."""
        return {*self.hours, *self.unread}

    def unread_of(self, hour: Period, layout: Layout) -> list[ObjectInfo]:
        """Return the objects of an hour that may be events, and the links in the place of a folder above its own."""
        above = {folder[: at.start()] for folder in layout.folders(hour) for at in re.finditer("/", folder[:-1])}
        return [
            *self.unread.get(hour, []),
            *(self.links[key] for key in sorted(above & self.links.keys() - self.ignored)),
        ]

    def counts(self, hour: Period | None) -> dict[str, int]:
        """Return the number of objects of an hour by class; of None, of the objects in no hour's folder."""
        return {kind.value: number for kind, number in sorted(self.kinds.get(hour, {}).items())}

    def totals(self) -> dict[Kind, int]:
        """Return the number of all objects by class, also of the classes without any."""
        added = sum(self.kinds.values(), Counter[Kind]())
        return {kind: added[kind] for kind in Kind}

    def unexpected(self) -> str:
        """Return how many objects of unexpected classes there are, with an example of each; empty without any."""
        totals = self.totals()
        found = [kind for kind in UNEXPECTED if totals[kind]]
        return "; ".join(f"{kinds_in_words({one: totals[one]})}, such as {self.examples[one]!r}" for one in found)


def kinds_in_words(kinds: Mapping[Kind, int]) -> str:
    """Return numbers of objects by class in words, such as ``12 hidden, 1 with another ending``."""
    words = ((UNEXPECTED.get(kind) or kind.replace("_", " "), number) for kind, number in sorted(kinds.items()))
    return ", ".join(f"{number:,} {word}" for word, number in words)


def take_inventory(
    store: Store,
    layout: Layout,
    span: Span,
    ignore: Sequence[str] = (),
    plausible: Span = EVER,
    prefixes: Sequence[str] | None = None,
) -> Inventory:
    """List the raw objects of a span. Objects in no hour's folder are found where the span's prefixes cover them.

    Args:
        store: the raw store.
        layout: the layout of its hours' folders.
        span: the hours to list.
        ignore: glob patterns of keys to pass over; ``*`` also matches slashes.
        plausible: objects of hours outside this span count as objects in no hour's folder.
        prefixes: what to list instead of all prefixes of the span.
    """
    found = Inventory()
    chosen = layout.prefixes(span, store.names) if prefixes is None else prefixes
    listed = in_parallel(store, lambda prefix: list(store.list_all(prefix)), chosen)
    every: Iterable[ObjectInfo] = chain.from_iterable(listed)
    if prefixes is not None:  # the name of a file may be the start of another name
        every = {info.key: info for info in every}.values()
    for info in every:
        placed = classify(info, layout, ignore)
        if placed is None:
            continue
        kind, hour = placed
        if hour is None and kind in UNEXPECTED and (start := layout.day_of(info.key)):
            found.strays.add(start)
        if hour is not None and not plausible.touches(hour):
            found.add(info, Kind.NO_HOUR if kind is Kind.READ or kind in UNEXPECTED else kind, None)
        elif hour is None or span.touches(hour):
            found.add(info, kind, hour)
        elif kind is Kind.READ or _may_be_events(info, kind):
            found.beside.add(hour)
    found.hours = dict(sorted(found.hours.items()))
    return found


def _may_be_events(info: ObjectInfo, kind: Kind) -> bool:
    """Return whether an object that is not read may be events, or shows that there are some: the keys of records."""
    return kind in UNEXPECTED or (kind is Kind.SIDECAR and info.size > 0)


def classify(info: ObjectInfo, layout: Layout, ignore: Sequence[str] = ()) -> tuple[Kind, Period | None] | None:
    """Return the class of an object, and its hour if it is in an hour's folder; None for another topic's object."""
    folder = f"{info.key}/" if info.link else info.key
    if not layout.owns(folder) and not (info.link and layout.root.startswith(folder)):
        return None
    # A link in the place of a folder is of that folder.
    placed = layout.place(info.key) or (layout.place(f"{folder}.") if info.link else None)
    hour, rest = placed or (None, info.key.removeprefix(layout.top))
    return _kind(info, hour, rest, _compile(tuple(ignore))), hour


def _kind(info: ObjectInfo, hour: Period | None, rest: str, ignored: re.Pattern[str] | None) -> Kind:
    name = info.key.rpartition("/")[2]
    if info.size == 0 and not info.link and (not name or name.endswith(FOLDER)):
        return Kind.FOLDER_MARKER
    if ignored is not None and ignored.fullmatch(info.key):
        return Kind.IGNORED
    if rest != "." and any(part.startswith(HIDDEN) for part in rest.split("/")):
        return Kind.HIDDEN
    if info.link:
        return Kind.SYMLINK
    return Kind.NO_HOUR if hour is None else _kind_by_name(info.key)


def _kind_by_name(key: str) -> Kind:
    name = key.rpartition("/")[2]
    if any(sidecar in name for sidecar in SIDECARS):
        return Kind.SIDECAR
    return Kind.READ if _READ.fullmatch(name) and _is_text(key) else Kind.OTHER_ENDING


def _is_text(key: str) -> bool:
    """Return whether a key is UTF-8; a name in a local folder may be any bytes, which no marker can hold."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


@lru_cache(maxsize=4)
def _compile(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(translate(one) for one in patterns)) if patterns else None


def walk_newest_first(store: Store, layout: Layout) -> Iterator[tuple[str, Period | None]]:
    """Yield the hours' folders with their hours, newest first. Other names come first in each folder, with None.

    Folders are listed lazily, so that reading only the newest hours lists nothing else.
    """
    yield from _walk(store, layout, layout.top, layout.levels())


def _walk(
    store: Store, layout: Layout, folder: str, levels: Sequence[re.Pattern[str]]
) -> Iterator[tuple[str, Period | None]]:
    level, *below = levels
    names = {name: level.fullmatch(name) for name in store.names(folder)}
    yield from ((folder + name, None) for name, match in names.items() if match is None)
    numbers = {name: tuple(map(int, match.groups())) for name, match in names.items() if match is not None}
    for name in sorted(numbers, key=lambda name: (numbers[name], name), reverse=True):
        if below:
            yield from _walk(store, layout, folder + name, below)
        else:
            placed = layout.place(f"{folder}{name}x")
            yield folder + name, placed[0] if placed else None


def nearest_names(store: Store, layout: Layout) -> tuple[str, Sequence[str]]:
    """Return the deepest non-empty folder on the path to the hours' folders, and the names in it."""
    folder = layout.top
    while True:
        names = store.names(folder)
        if names or not folder:
            return folder, names
        folder = folder[:-1].rpartition("/")[0]
        folder += "/" * bool(folder)


def nothing_there(store: Store, layout: Layout) -> ConfigError:
    """Return the error for a raw store without events where the settings look for them; it lists what exists."""
    if isinstance(store, LocalStore) and not store.root.is_dir():
        return ConfigError(f"MARQUEE_RAW={store.url}: no such folder. Set it to the folder of the raw events")
    first = next(store.list_all(layout.root), None)
    if first is not None and first.link and layout.root.startswith(f"{first.key}/"):
        message = (
            f"{store.url}/{first.key} is a symbolic link, and links below MARQUEE_RAW are not followed. Set "
            "MARQUEE_RAW and MARQUEE_ROLLUP__PATH so that MARQUEE_RAW is the link or is below it, or make it a folder"
        )
        return ConfigError(message)
    folder, names = nearest_names(store, layout)
    if not names:
        return ConfigError(f"MARQUEE_RAW={store.url} is empty: expected raw events in folders {layout.template!r}")
    shown = ", ".join(names[:NAMES_SHOWN])
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    at = f"in {folder!r}" if folder else "at the top"
    return ConfigError(
        f"{store.url} has no raw events in folders {layout.template!r}; found {at}: {shown}{more}. "
        "Check MARQUEE_RAW, MARQUEE_ROLLUP__TOPIC and MARQUEE_ROLLUP__PATH"
    )

"""Inventory of the raw store: the objects of each received hour, by the sink's folder layout."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain

from marquee.calendar import Grain, Period, Span
from marquee.errors import ConfigError
from marquee.storage.base import ObjectInfo, Store, in_parallel
from marquee.storage.local import LocalStore

PARTS = ("year", "month", "day", "hour")
DIGITS = {"year": r"[1-9]\d{3}"} | dict.fromkeys(PARTS[1:], r"\d\d")
EXTENSIONS = (".json", ".json.gz", ".avro", ".parquet")
HINT = "{year}, {month}, {day} and {hour} once each, and a slash at the end"
SIDECARS = (".keys.", ".headers.")
NAMES_SHOWN = 10
LONG = timedelta(days=62)
"""A longer span is listed by month, which takes a thirtieth of the requests when there are few objects."""


@dataclass(frozen=True)
class Layout:
    """Layout of the hours' folders: a template with ``{year}``, ``{month}``, ``{day}``, ``{hour}`` (UTC) once each."""

    template: str

    def __post_init__(self) -> None:
        if sorted(re.findall(r"\{(.*?)\}", self.template)) != sorted(PARTS) or not self.template.endswith("/"):
            message = f"Invalid layout {self.template!r}. Use {HINT}"
            raise ValueError(message)

    @property
    def root(self) -> str:
        """Common prefix of all hours' objects."""
        return self.template.partition("{")[0]

    def folder(self, hour: Period) -> str:
        """Return the prefix of an hour's objects."""
        return self._fill(hour.start, self.template)

    def prefixes(self, span: Span) -> Iterator[str]:
        """Yield prefixes that cover a span, by day or, for a long span, by month; only the root if neither works."""
        if span.start is None or span.end is None:
            yield self.root
            return
        by_month = self._head(PARTS[:2]) if span.end - span.start > LONG else None
        by_day = self._head(PARTS[:3])
        head, grain = (by_month, Grain.MONTH) if by_month is not None else (by_day, Grain.DAY)
        if head is None:
            yield self.root
            return
        for period in Period.containing(span.start, grain).until(span.end):
            yield self._fill(period.start, head)

    def _head(self, parts: Sequence[str]) -> str | None:
        """Return the start of the template with only these parts; None if it does not contain all of them."""
        head = self.template[: min(self.template.index(f"{{{part}}}") for part in PARTS if part not in parts)]
        return head if all(f"{{{part}}}" in head for part in parts) else None

    def hour_of(self, key: str) -> Period | None:
        """Return the hour of a key's folder; None for a key outside the hours' folders."""
        match = self._pattern().match(key)
        if match is None:
            return None
        try:
            return Period(datetime(*(int(match[part]) for part in PARTS), tzinfo=UTC), Grain.HOUR)  # type: ignore[arg-type, misc]
        except ValueError:
            return None

    def _pattern(self) -> re.Pattern[str]:
        pattern = re.escape(self.template)
        for part in PARTS:
            pattern = pattern.replace(re.escape(f"{{{part}}}"), rf"(?P<{part}>{DIGITS[part]})")
        return re.compile(pattern + r"[^/]+$", re.ASCII)

    @staticmethod
    def _fill(instant: datetime, template: str) -> str:
        values = {"year": f"{instant:%Y}", "month": f"{instant:%m}", "day": f"{instant:%d}", "hour": f"{instant:%H}"}
        for part, value in values.items():
            template = template.replace(f"{{{part}}}", value)
        return template


def list_hours(store: Store, layout: Layout, span: Span) -> dict[Period, list[ObjectInfo]]:
    """Return the raw objects by hour, in the order of keys, without sidecars and unknown formats."""
    hours: dict[Period, list[ObjectInfo]] = defaultdict(list)
    listed = in_parallel(store, lambda prefix: list(store.list(prefix)), layout.prefixes(span))
    for info in chain.from_iterable(listed):
        hour = layout.hour_of(info.key) if has_events(info.key) else None
        if hour is not None and span.touches(hour):
            hours[hour].append(info)
    return dict(sorted(hours.items()))


def walk_newest_first(store: Store, layout: Layout) -> Iterator[tuple[str, Period | None]]:
    """Yield the hours' folders with their hours, newest first. Other names come first in each folder, with None.

    Folders are listed lazily, so that reading only the newest hours lists nothing else.
    """
    folder = layout.root[: layout.root.rfind("/") + 1]
    yield from _walk(store, layout, folder, layout.template.removeprefix(folder).rstrip("/").split("/"))


def _walk(store: Store, layout: Layout, folder: str, levels: Sequence[str]) -> Iterator[tuple[str, Period | None]]:
    level, *below = levels
    pattern = re.compile(re.sub(r"\\{(\w+)\\}", lambda part: DIGITS[part[1]], re.escape(f"{level}/")), re.ASCII)
    names = store.names(folder)
    yield from ((folder + name, None) for name in names if not pattern.fullmatch(name))
    for name in filter(pattern.fullmatch, reversed(names)):
        if below:
            yield from _walk(store, layout, folder + name, below)
        else:
            yield folder + name, layout.hour_of(f"{folder}{name}x")


def nearest_names(store: Store, layout: Layout) -> tuple[str, Sequence[str]]:
    """Return the deepest non-empty folder on the path to the hours' folders, and the names in it."""
    folder = layout.root
    while True:
        folder = folder[: folder.rfind("/") + 1]
        names = store.names(folder)
        if names or not folder:
            return folder, names
        folder = folder[:-1]


def nothing_there(store: Store, layout: Layout) -> ConfigError:
    """Return the error for a raw store without events where the settings look for them; it lists what exists."""
    if isinstance(store, LocalStore) and not store.root.is_dir():
        return ConfigError(f"MARQUEE_RAW={store.url}: no such folder. Set it to the folder of the raw events")
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


def has_events(key: str) -> bool:
    """Return whether an object contains events, by its name."""
    return key.endswith(EXTENSIONS) and not is_sidecar(key)


def is_sidecar(key: str) -> bool:
    """Return whether an object contains the Kafka keys or headers that the sink writes next to events, by its name."""
    return any(sidecar in key.rpartition("/")[2] for sidecar in SIDECARS)

"""The raw store's hours: which objects each received hour has, found by the sink's layout of folders."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain

from marquee.calendar import Grain, Period, Span
from marquee.storage.base import ObjectInfo, Store, in_parallel

PARTS = ("year", "month", "day", "hour")
EXTENSIONS = (".json", ".json.gz", ".avro", ".parquet")
HINT = "{year}, {month}, {day} and {hour} once each, and a slash at the end"
SIDECARS = (".keys.", ".headers.")
LONG = timedelta(days=62)
"""A span as long as two months at least is listed by month, in a thirtieth of the requests where there is little."""


@dataclass(frozen=True)
class Layout:
    """Folders by hour: a template with ``{year}``, ``{month}``, ``{day}``, ``{hour}`` (UTC) once each."""

    template: str

    def __post_init__(self) -> None:
        if sorted(re.findall(r"\{(.*?)\}", self.template)) != sorted(PARTS) or not self.template.endswith("/"):
            message = f"{self.template!r} is no layout: expected {HINT}"
            raise ValueError(message)

    @property
    def root(self) -> str:
        """The prefix of all hours' objects."""
        return self.template.partition("{")[0]

    def folder(self, hour: Period) -> str:
        """Return the prefix of an hour's objects."""
        return self._fill(hour.start, self.template)

    def prefixes(self, span: Span) -> Iterator[str]:
        """Yield prefixes that cover a span: a day each, or a month if it is long; all there is where that cannot be."""
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
        """Return the template as far as it has no other than these parts; None where it then lacks one of them."""
        head = self.template[: min(self.template.index(f"{{{part}}}") for part in PARTS if part not in parts)]
        return head if all(f"{{{part}}}" in head for part in parts) else None

    def hour_of(self, key: str) -> Period | None:
        """Return the hour in whose folder a key lies; None for a key elsewhere."""
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
            digits = r"[1-9]\d{3}" if part == "year" else r"\d\d"
            pattern = pattern.replace(re.escape(f"{{{part}}}"), rf"(?P<{part}>{digits})")
        return re.compile(pattern + r"[^/]+$", re.ASCII)

    @staticmethod
    def _fill(instant: datetime, template: str) -> str:
        values = {"year": f"{instant:%Y}", "month": f"{instant:%m}", "day": f"{instant:%d}", "hour": f"{instant:%H}"}
        for part, value in values.items():
            template = template.replace(f"{{{part}}}", value)
        return template


def list_hours(store: Store, layout: Layout, span: Span) -> dict[Period, list[ObjectInfo]]:
    """Return the raw objects by hour, in the order of keys; sidecars and unknown formats are passed over."""
    hours: dict[Period, list[ObjectInfo]] = defaultdict(list)
    listed = in_parallel(store, lambda prefix: list(store.list(prefix)), layout.prefixes(span))
    for info in _events_only(chain.from_iterable(listed)):
        hour = layout.hour_of(info.key)
        if hour is not None and span.touches(hour):
            hours[hour].append(info)
    return dict(sorted(hours.items()))


def nearest_names(store: Store, layout: Layout) -> tuple[str, Sequence[str]]:
    """Return the deepest folder on the way to the hours in which there is anything, and the names in it."""
    folder = layout.root
    while True:
        folder = folder[: folder.rfind("/") + 1]
        names = store.names(folder)
        if names or not folder:
            return folder, names
        folder = folder[:-1]


def _events_only(objects: Iterable[ObjectInfo]) -> Iterator[ObjectInfo]:
    for info in objects:
        name = info.key.rpartition("/")[2]
        if name.endswith(EXTENSIONS) and not any(sidecar in name for sidecar in SIDECARS):
            yield info

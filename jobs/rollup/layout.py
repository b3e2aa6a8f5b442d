"""Layout of the raw store: from the template of an hour's folder to hours of keys, and to prefixes to list.

Month, day and hour may have a leading zero or not (``hour=08``, ``hour=8``): both folders are of the same hour. Where a
placeholder touches another one, as in ``{year}{month}{day}``, or a digit, it always has two digits.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property, lru_cache
from itertools import product

from marquee.calendar import YEAR, Grain, Period, Span

PARTS = ("year", "month", "day", "hour")
HINT = "{year}, {month}, {day} and {hour} once each, and a slash at the end"
TOPIC = "{topic}"
TEN = 10
LONG = timedelta(days=62)
"""A longer span is listed by month, which takes a thirtieth of the requests when there are few objects."""

Names = Callable[[str], Sequence[str]]
"""Returns the names in a folder; a folder's name ends in a slash. See ``Store.names``."""

_PIECES = re.compile(r"(\{\w+\})")


@dataclass(frozen=True)
class Layout:
    """Layout of the hours' folders.

    Attributes:
        template: the folder of an hour, with ``{year}``, ``{month}``, ``{day}``, ``{hour}`` (UTC) once each.
        own: the start of the template, up to and including the topic; empty if the topic is not in it.
    """

    template: str
    own: str = ""

    def __post_init__(self) -> None:
        if sorted(re.findall(r"\{(.*?)\}", self.template)) != sorted(PARTS) or not self.template.endswith("/"):
            message = f"Invalid layout {self.template!r}. Use {HINT}"
            raise ValueError(message)

    @classmethod
    def of(cls, path: str, topic: str) -> "Layout":
        """Return the layout of a path that may contain ``{topic}``."""
        named = re.match(rf".*{re.escape(TOPIC)}[^{{/]*/?", path)
        return cls(path.replace(TOPIC, topic), named[0].replace(TOPIC, topic) if named else "")

    @cached_property
    def top(self) -> str:
        """The folder that contains the hours' folders of all years."""
        return self.template[: self.template[: self.template.index("{")].rfind("/") + 1]

    @cached_property
    def root(self) -> str:
        """Common prefix of the topic's objects."""
        return max(self.top, self.own.partition("{")[0], key=len)

    def owns(self, key: str) -> bool:
        """Return whether a key is one of the topic's; other topics may share its folders."""
        return key.startswith(self.root) and self._owned.match(key) is not None

    def folders(self, hour: Period) -> list[str]:
        """Return the prefixes of an hour's objects, first the one with leading zeros."""
        return self._forms(self.template, hour.start)

    def prefixes(self, span: Span, names: Names) -> Iterator[str]:
        """Yield prefixes that cover a span, by day or, for a long span, by month; only the root if neither works.

        ``names`` is asked where a folder may have more than one name: at most once for each year and month of the span.
        """
        if span.start is None or span.end is None:
            yield self.root
            return
        by_month = self._head(PARTS[:2]) if span.end - span.start > LONG else None
        by_day = self._head(PARTS[:3])
        head, grain = (by_month, Grain.MONTH) if by_month is not None else (by_day, Grain.DAY)
        if head is None:
            yield self.root
            return
        known = cache(names)
        for period in Period.containing(span.start, grain).until(span.end):
            yield from self._existing(head, period.start, known)

    def place(self, key: str) -> tuple[Period, str] | None:
        """Return the hour of a key's folder, and the rest of the key; None for a key outside the hours' folders."""
        name = key.rfind("/") + 1
        placed = self._place_folder(key[:name])
        if placed is None or len(key) == placed[1]:
            return None
        return placed[0], key[placed[1] :]

    @cached_property
    def _place_folder(self) -> Callable[[str], tuple[Period, int] | None]:
        """Return the hour of a folder, and the length of the hour's own folder; None for one outside of them."""
        return lru_cache(maxsize=1)(self._find_hour)  # keys come in order, so several of a folder in a row

    def _find_hour(self, folder: str) -> tuple[Period, int] | None:
        match = self._whole.match(folder)
        if match is None:
            return None
        try:
            start = datetime(*(int(match[part]) for part in PARTS), tzinfo=UTC)  # type: ignore[arg-type, misc]
        except ValueError:
            return None
        return Period(start, Grain.HOUR), match.end()

    def day_of(self, key: str) -> datetime | None:
        """Return the start of the day in whose folder a key is; None if it is in none, or days have no folder."""
        head = self._head(PARTS[:3])
        match = self._pattern(head, "(?P<rest>.+)").fullmatch(key) if head else None
        try:
            return match and datetime(*(int(match[part]) for part in PARTS[:3]), tzinfo=UTC)  # type: ignore[arg-type, misc]
        except ValueError:
            return None

    def levels(self) -> list[re.Pattern[str]]:
        """Return a pattern for the name of each folder below ``top``, with a final slash."""
        return [self._pattern(f"{level}/") for level in self.template.removeprefix(self.top)[:-1].split("/")]

    def _head(self, parts: Sequence[str]) -> str | None:
        """Return the start of the template with only these parts, to a slash if there is one; None without them all."""
        head = self.template[: min(self.template.index(f"{{{part}}}") for part in PARTS if part not in parts)]
        if not all(f"{{{part}}}" in head for part in parts):
            return None
        after = head.rpartition("}")[2]
        return head.removesuffix(after.rpartition("/")[2]) if "/" in after else head

    def _existing(self, head: str, instant: datetime, names: Names) -> list[str]:
        *levels, rest = head.split("/")
        found = [""]
        for level in levels:
            forms = [f"{form}/" for form in self._forms(level, instant)]
            found = [at + form for at in found for form in forms if len(forms) == 1 or form in names(at)]
        return sorted(at + form for at in found for form in self._forms(rest, instant))

    def _forms(self, template: str, instant: datetime) -> list[str]:
        """Return a part of the template filled in with an instant: first with leading zeros, then without."""
        values = dict(zip(PARTS, (instant.year, instant.month, instant.day, instant.hour), strict=True))
        return ["".join(form) for form in product(*(self._values(one, values) for one in _PIECES.split(template)))]

    def _values(self, piece: str, values: dict[str, int]) -> list[str]:
        if not _PIECES.fullmatch(piece):
            return [piece]
        value = values[piece[1:-1]]
        return [f"{value:02}"] if value >= TEN or piece[1:-1] in self._fixed else [f"{value:02}", str(value)]

    @cached_property
    def _fixed(self) -> frozenset[str]:
        """The parts that always have all digits, because something beside them may be a digit."""
        touching = re.findall(r"(?:(?<=\d)|(?<=\}))\{(\w+)\}|\{(\w+)\}(?=\d|\{)", self.template, re.ASCII)
        return frozenset(part for pair in touching for part in pair if part)

    @cached_property
    def _whole(self) -> re.Pattern[str]:
        return self._pattern(self.template)

    @cached_property
    def _owned(self) -> re.Pattern[str]:
        return self._pattern(max(self.top, self.own, key=len))

    def _pattern(self, template: str, end: str = "") -> re.Pattern[str]:
        pieces = "".join(map(self._digits, _PIECES.split(template)))
        return re.compile(pieces + end, re.ASCII | re.DOTALL)

    def _digits(self, piece: str) -> str:
        if not _PIECES.fullmatch(piece):
            return re.escape(piece)
        part = piece[1:-1]
        digits = YEAR if part == "year" else r"\d\d" if part in self._fixed else r"\d\d?"
        return f"(?P<{part}>{digits})"

"""The result of a load of a mart."""

from collections.abc import Sequence
from dataclasses import dataclass

from marquee.calendar import EVER, Period, Span
from marquee.errors import worst
from marquee.lake import keys
from marquee.mart.ledger import Item, LoadStatus, day_of

COMMANDS = {keys.SCHEDULE_FETCH: "schedule-fetch", keys.ROLLUP: "rollup", keys.AUDIENCE: "profile"}
"""Commands that make the loaded datasets, by stage."""


@dataclass(frozen=True)
class MartReport:
    """Result of a load, counted in the lake's periods: hours, captured days, audience periods."""

    loaded: int = 0
    replaced: int = 0
    unchanged: int = 0
    rows: int = 0
    note: str = ""
    failed: tuple[tuple[Period, int], ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or the most severe exit code of the failures."""
        return worst([code for _, code in self.failed])

    @property
    def changed(self) -> int:
        """Number of periods loaded or replaced."""
        return self.loaded + self.replaced

    @property
    def failures(self) -> int:
        """Number of periods that failed."""
        return len(self.failed)

    def plus(self, other: "MartReport") -> "MartReport":
        """Return the sum of two reports."""
        return MartReport(
            self.loaded + other.loaded,
            self.replaced + other.replaced,
            self.unchanged + other.unchanged,
            self.rows + other.rows,
            self.note or other.note,
            self.failed + other.failed,
        )


def has_plays(items: Sequence[Item], span: Span) -> bool:
    """Return whether the lake has an hour of the span."""
    return any(item.stage == keys.ROLLUP and span.touches(item.period) for item in items)


def missing(items: Sequence[Item], scope: Span, span: Span) -> str:
    """Name the days that are not over, and the stages without anything to load; empty if there are none."""
    chosen = [item for item in items if item.stage == keys.SCHEDULE_FETCH or span.touches(item.period)]
    waiting = sorted({day_of(item.period) for item in chosen if item.status is LoadStatus.OPEN})
    notes = []
    if waiting:
        days = f"{', '.join(map(str, waiting))} {'is' if len(waiting) == 1 else 'are'}"
        notes.append(f"{days} not over: a mart with a floor has whole days")
    found = {item.stage for item in chosen}
    missing = [f"`marquee {command}`" for stage, command in COMMANDS.items() if stage not in found]
    if missing:
        when = "yet" if scope == span == EVER else "of this period"
        notes.append(f"the lake has nothing {when} from {', '.join(missing)}")
    return "; ".join(notes)

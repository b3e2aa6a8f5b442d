"""A second implementation of the questions about sets of shows, in loops over plain rows, to check the mart's views."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.oracle.answers import Answer, Row, percent


@dataclass(frozen=True)
class SetContent:
    """What a mart holds of one period: orders, overlaps, titles of shows, and all viewers worldwide."""

    period: str
    titles: Mapping[int, str]
    orders: Sequence[Row]
    overlaps: Sequence[Row]
    base: Mapping[str, Any]


def _steps(content: SetContent, way: str, others: Sequence[str]) -> Answer:
    viewers = {(row["strategy"], row["step"]): row["viewers"] for row in content.orders}
    return {
        (
            content.period,
            row["step"],
            content.titles[row["show_id"]],
            row["viewers"],
            percent(row["viewers"], content.base["active_viewers"]),
            percent(row["watched_seconds"], content.base["watched_seconds"]),
            *(viewers.get((other, row["step"])) for other in others),
        )
        for row in content.orders
        if row["strategy"] == way
    }


def removal_order(content: SetContent) -> Answer:
    """Return the rows of ``removal-order``."""
    return _steps(content, "remove", ["remove_by_hours", "remove_by_reach", "remove_by_sole"])


def keep_order(content: SetContent) -> Answer:
    """Return the rows of ``keep-order``."""
    return _steps(content, "keep", ["keep_by_hours", "keep_by_reach"])


def overlap(content: SetContent) -> Answer:
    """Return the rows of ``overlap``."""
    own = {row["show_id"]: row for row in content.overlaps if row["show_id"] == row["other_show_id"]}
    both: dict[tuple[int, int], int] = {}
    for row in content.overlaps:
        one, other = row["show_id"], row["other_show_id"]
        if one != other and row["viewers"]:
            both[one, other] = both[other, one] = row["viewers"]
    active = content.base["active_viewers"]
    answer = set()
    for (one, other), viewers in both.items():
        reach, others = own[one]["viewers"], own[other]["viewers"]
        answer.add(
            (
                content.period,
                content.titles[one],
                content.titles[other],
                1 + sum(count > viewers for (show, _), count in both.items() if show == one),
                percent(viewers, reach),
                None if active is None else percent(viewers * active, reach * others, 0),
                viewers,
                reach,
                percent(own[one]["only_of_genre_viewers"], reach),
            )
        )
    return answer

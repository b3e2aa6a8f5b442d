"""Readings of sets of shows: the order of removal, the order of keeping, and what else viewers watch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from marquee.report.review import svg
from marquee.report.review.answers import Answered
from marquee.report.review.reading import NAMED, Bars, Finding, First, Reading, title_of
from marquee.report.review.words import PERCENT, Name, Record, Sentence, listed, named, number_of, sentence, several

CHEAP_PERCENT = 0.5
"""The limit: percent of active viewers that a set of shows may leave with nothing to watch, to be called cheap."""
MENTIONED = 5
"""Shows within the limit that are not to go, that a sentence names."""
MOST_PERCENT = 80
"""Percent of active viewers that are most of them."""


@dataclass(frozen=True)
class Removal:
    """A show in the order of removal: its step, the further viewers left with nothing, and whether the set is cheap."""

    step: int
    more: int
    cheap: bool


def removals(answer: Answered) -> Mapping[str, Removal]:
    """Return the removal of each show in the order, by title."""
    found, before = {}, 0
    for row in _steps(answer):
        cheap = row["left_percent"] <= CHEAP_PERCENT
        found[str(row["title"])] = Removal(row["step"], row["left_with_nothing"] - before, cheap)
        before = row["left_with_nothing"]
    return found


@dataclass(frozen=True)
class Pair:
    """Two shows with the same viewers: the other's title, and the viewers."""

    other: str
    viewers: int


def pairs(answer: Answered) -> Mapping[str, Pair]:
    """Return the shows that have the very viewers of one other show, by title."""
    same = {
        (str(row["title"]), str(row["other_title"])): row["viewers"]
        for row in answer.rows
        if row["share_percent"] == 100 and row["viewers"]  # noqa: PLR2004 - all of them
    }
    found: dict[str, list[Pair]] = {}
    for (title, other), viewers in same.items():
        if (other, title) in same:
            found.setdefault(title, []).append(Pair(other, viewers))
    return {title: others[0] for title, others in found.items() if len(others) == 1}


def limit(answer: Answered) -> Record | None:
    """Return the last step within the limit; None if the first show is beyond it."""
    cheap = _cheap(answer)
    return cheap[-1] if cheap else None


def _steps(answer: Answered) -> list[Record]:
    return sorted(answer.rows, key=lambda row: row["step"])


def _cheap(answer: Answered) -> list[Record]:
    return [row for row in _steps(answer) if row["left_percent"] <= CHEAP_PERCENT]


def _curves(
    answer: Answered, title: str, up: str, columns: Mapping[str, str], mark: tuple[float, str] | None = None
) -> str:
    """Draw columns by step; the first is the order itself, the others are orders to compare."""
    rows = _steps(answer)
    if len(rows) < 2:  # noqa: PLR2004 - a line has two ends
        return ""
    lines = [
        svg.Line(label, points, strong=column == next(iter(columns)))
        for column, label in columns.items()
        if len(points := tuple((row["step"], row[column]) for row in rows if row[column] is not None)) > 1
    ]
    return svg.lines(title, lines, ("1 show", "", f"{rows[-1]['step']} shows"), up, mark)


def _removal_curves(answer: Answered) -> str:
    return _curves(
        answer,
        "Viewers left with nothing by the number of shows removed, in four orders.",
        "viewers left with nothing",
        {
            "left_with_nothing": "least cost",
            "left_by_sole": "fewest sole viewers",
            "left_by_reach": "least reach",
            "left_by_hours": "fewest hours",
        },
        (last["step"], f"limit: {last['step']} shows") if (last := limit(answer)) else None,
    )


def _removal_text(answer: Answered) -> Sentence:
    cheap = _cheap(answer)
    if not cheap:
        share = number_of(CHEAP_PERCENT, PERCENT)
        return sentence("The first show to remove leaves more than {share} of all viewers with nothing.", share=share)
    last = cheap[-1]
    text = sentence(
        "The first {shows} of the order together leave {viewers} with nothing to watch, {percent} of all; {have} "
        "{hours} of all hours.",
        have="it has" if len(cheap) == 1 else "they have",
        shows=several(len(cheap), "show", "shows"),
        viewers=several(last["left_with_nothing"], "viewer", "viewers"),
        percent=number_of(last["left_percent"], PERCENT),
        hours=number_of(last["hours_percent"], PERCENT),
    )
    if len(cheap) == len(answer.rows):
        return text
    share = number_of(CHEAP_PERCENT, PERCENT)
    return text + sentence(" The next is past the limit of {share}.", share=share)


def _removal_findings(answer: Answered) -> list[Finding]:
    last = limit(answer)
    if not last:
        return []
    others = {
        "the fewest hours": last["left_by_hours"],
        "the least reach": last["left_by_reach"],
        "the fewest viewers of only this": last["left_by_sole"],
    }
    known = [
        sentence("{viewers} by " + name, viewers=viewers) for name, viewers in others.items() if viewers is not None
    ]
    if not known:
        return []
    text = sentence(
        "To choose {shows} in another order would leave other numbers of viewers with nothing: {viewers}, instead of "
        "{least}.",
        shows=several(last["step"], "show", "shows"),
        viewers=listed(known),
        least=last["left_with_nothing"],
    )
    return [Finding("go", answer.question.name, text)]


def going_text(answer: Answered, going: Sequence[Record], kept: Sequence[Record], hours: float) -> Sentence:
    """Say what the shows of the first steps cost together, without those that are not to go; empty if none could go.

    Args:
        answer: the order of removal.
        going: shows of the catalogue within the limit that could go, in the order of removal.
        kept: the other shows within the limit.
        hours: hours of all shows.
    """
    last = limit(answer)
    if not last or not going:
        return ()
    text = sentence(
        "{shows} could go together and leave {most}{viewers} with nothing to watch, {percent} of all; {have} {hours} "
        "of all hours.",
        shows=several(len(going), "show", "shows"),
        most="at most " if kept else "",
        viewers=several(last["left_with_nothing"], "viewer", "viewers"),
        percent=number_of(last["left_percent"], PERCENT),
        have="it has" if len(going) == 1 else "they have",
        hours=number_of(round(100 * sum(show["hours"] or 0 for show in going) / hours, 1) if hours else 0.0, PERCENT),
    )
    limited = sentence(
        " This is the first {steps} of the order of removal, up to the limit of {share}",
        steps=several(last["step"], "step", "steps"),
        share=number_of(CHEAP_PERCENT, PERCENT),
    )
    if kept:
        names = [title_of(show) for show in kept]
        those = listed(names) if len(names) <= MENTIONED else several(len(names), "show", "shows")
        limited += sentence(", without {those}, which other reasons speak for", those=those)
    return text + limited + (".",) + named([title_of(show) for show in going[:NAMED]], len(going))


def cost_rows(answer: Answered, rows: int) -> tuple[int, Sequence[Record]]:
    """Return the steps where cost begins, and the number of those before."""
    steps = _steps(answer)
    last = limit(answer)
    start = max(sum(row["left_with_nothing"] == 0 for row in steps) - 1, 0)
    if last and last["step"] > start + rows - NAMED:
        start = last["step"] - rows + NAMED
    start = max(min(start, len(steps) - rows), 0)
    return start, steps[start : start + rows]


REMOVAL_ORDER = Reading(
    (
        *("step", "title", "left_with_nothing", "left_percent", "hours_percent"),
        *("left_by_hours", "left_by_reach", "left_by_sole"),
    ),
    _removal_curves,
    _removal_text,
    _removal_findings,
    cost_rows,
)


def _keep_curves(answer: Answered) -> str:
    return _curves(
        answer,
        "Viewers reached by the number of shows kept, in three orders.",
        "viewers reached",
        {"reached": "most people together", "reached_by_reach": "most reach", "reached_by_hours": "most hours"},
    )


def _most(rows: Sequence[Record]) -> Record:
    """Return the first step that reaches most viewers; the last step if none does."""
    return next((row for row in rows if row["reached_percent"] >= MOST_PERCENT), rows[-1])


def _keep_text(answer: Answered) -> Sentence:
    row = _most(_steps(answer))
    return sentence(
        "{shows} reach {viewers}, {percent} of all; they have {hours} of all hours.",
        shows=several(row["step"], "show", "shows together"),
        viewers=several(row["reached"], "viewer", "viewers"),
        percent=number_of(row["reached_percent"], PERCENT),
        hours=number_of(row["hours_percent"], PERCENT),
    )


def _keep_findings(answer: Answered) -> list[Finding]:
    names = named([title_of(row) for row in _steps(answer)[:NAMED]])
    other = (" This counts people who are reached by any of them; a verdict asks what is lost without one show.",)
    return [Finding("keep", answer.question.name, _keep_text(answer) + names + other)]


KEEP_ORDER = Reading(
    ("step", "title", "reached", "reached_percent", "hours_percent", "reached_by_hours", "reached_by_reach"),
    _keep_curves,
    _keep_text,
    _keep_findings,
)


def _overlap_text(answer: Answered) -> Sentence:
    text = First(
        "{share_percent} of the viewers of {title} watch {other_title}, too: an affinity of {affinity_index}, where "
        "100 is average.",
        "share_percent",
    )(answer)
    same = same_viewers(answer)
    return text + sentence(" {same}", same=same) if same else text


def same_viewers(answer: Answered) -> Sentence:
    """Name two shows with the same viewers; empty if there are none."""
    title, pair = next(iter(sorted(pairs(answer).items(), key=lambda one: (-one[1].viewers, one[0]))), ("", None))
    if pair is None:
        return ()
    return sentence(
        "{title} and {other} have the same {viewers}: without one of them they have the other, without both they lose "
        "both.",
        title=Name(title),
        other=Name(pair.other),
        viewers=several(pair.viewers, "viewer", "viewers"),
    )


def _overlap_findings(answer: Answered) -> list[Finding]:
    same = same_viewers(answer)
    return [Finding("go", answer.question.name, same)] if same else []


OVERLAP = Reading(
    ("title", "other_title", "place", "share_percent", "affinity_index", "viewers"),
    Bars("title other_title", "share_percent", PERCENT, beside="affinity_index"),
    _overlap_text,
    _overlap_findings,
)

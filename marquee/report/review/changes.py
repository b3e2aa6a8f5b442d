"""Readings of what changes: weeks, viewers of shows that ended, and shows that nobody watches."""

from collections import Counter

from marquee.report.review import svg
from marquee.report.review.answers import Answered
from marquee.report.review.reading import NAMED, ROWS, Finding, Reading, title_of
from marquee.report.review.words import PERCENT, Number, Record, Sentence, named, number_of, sentence, several

APART = "hours up, reach down"
"""The trend of a show or genre that fewer viewers watch more."""
STEADY = "hours steady, reach steady"
FEW = ("too few viewers", "too few weeks")


def _trends(answer: Answered) -> list[Record]:
    return [row for row in answer.rows if row["trend"] not in FEW]


def show_trends(answer: Answered) -> list[Record]:
    """Return the trends of shows."""
    return [row for row in _trends(answer) if row["kind"] == "show"]


def _trend_bars(answer: Answered) -> str:
    told = [row for row in _trends(answer) if row["hours_now"] is not None and row["hours_before"] is not None]
    changed = [row for row in told if row["trend"] != STEADY and row["kind"] != "all"][:ROWS]
    rows = [
        svg.Bar(
            str(row["title"]),
            (row["hours_now"],),
            Number(row["hours_now"], 1),
            str(row["trend"]),
            row["hours_before"],
        )
        for row in changed
    ]
    return svg.bars("Hours a week now; the mark is the hours a week before.", rows) if rows else ""


def _trend_answer(answer: Answered) -> Sentence:
    rows = _trends(answer)
    if not rows:
        return ("There are too few complete weeks to compare: it takes eight in a row.",)
    every = next((row for row in rows if row["kind"] == "all"), None)
    apart = [row for row in rows if row["trend"] == APART and row["kind"] != "all"]
    text = sentence("All shows: {trend}. ", trend=str(every["trend"])) if every else ()
    return text + sentence(
        "Of {rows}, {up} gained hours while they lost viewers.",
        rows=several(sum(row["kind"] != "all" for row in rows), "show or genre", "shows and genres"),
        up=len(apart),
    )


def _trend_findings(answer: Answered) -> list[Finding]:
    rows = _trends(answer)
    if not rows:
        text = "Nothing is compared with an earlier week: that takes eight complete weeks in a row."
        return [Finding("changed", answer.question.name, (text,))]
    every = [row for row in rows if row["kind"] == "all" and row["trend"] != STEADY]
    apart = [row for row in rows if row["trend"] == APART and row["kind"] != "all"]
    return [Finding("changed", answer.question.name, _trend_text(row)) for row in (every + apart)[:NAMED]]


def _trend_text(row: Record) -> Sentence:
    text = sentence("{title}: {trend}", title=title_of(row), trend=str(row["trend"]))
    if row["hours_before"] is not None and row["hours_now"] is not None:
        hours = {"before": row["hours_before"], "after": row["hours_now"]}
        text += sentence("; from {before} to {after} hours a week", **hours)
    if row["reach_before"] is None or row["reach_now"] is None:
        return (*text, ".")
    return text + sentence(", from {before} to {after} viewers.", before=row["reach_before"], after=row["reach_now"])


TREND = Reading(
    ("kind", "title", "trend", "hours_before", "hours_now", "reach_before", "reach_now"),
    _trend_bars,
    _trend_answer,
    _trend_findings,
)


def _weeks(answer: Answered) -> list[Record]:
    """Return the complete weeks of all shows, in order."""
    rows = [
        row
        for row in answer.rows
        if row["kind"] == "all" and row["complete"] == "yes" and row["reach"] and row["hours"] is not None
    ]
    return sorted(rows, key=lambda row: str(row["week"]))


def _week_lines(answer: Answered) -> str:
    rows = _weeks(answer)
    if len(rows) < 2 or not rows[0]["hours"]:  # noqa: PLR2004 - a line has two ends
        return ""
    lines = [
        svg.Line(name, tuple((at, 100 * row[name] / rows[0][name]) for at, row in enumerate(rows)))
        for name in ("hours", "reach")
    ]
    ends = (str(rows[0]["week"]), "", str(rows[-1]["week"]))
    return svg.lines(
        "Hours and viewers of all shows by week, in percent of the first week.", lines, ends, "% of the first week"
    )


def _week_answer(answer: Answered) -> Sentence:
    rows = _weeks(answer)
    if len(rows) < 2:  # noqa: PLR2004 - as above
        return ("There is one complete week or none: nothing to compare yet.",)
    first, last = rows[0], rows[-1]
    return sentence(
        "From {start} to {end}, hours a week went from {h0} to {h1}, and viewers from {r0} to {r1}.",
        start=str(first["week"]),
        end=str(last["week"]),
        h0=first["hours"],
        h1=last["hours"],
        r0=first["reach"],
        r1=last["reach"],
    )


TREND_BY_WEEK = Reading(("kind", "title", "week", "complete", "hours", "reach"), _week_lines, _week_answer)


def _unwatched_bars(answer: Answered) -> str:
    networks = Counter(str(row["network"]) for row in answer.rows)
    most = sorted(networks, key=lambda one: (-networks[one], one))[:ROWS]
    rows = [svg.Bar(one, (networks[one],), number_of(networks[one])) for one in most]
    return svg.bars("Shows with no or next to no viewing, by network.", rows)


def _unwatched_text(answer: Answered) -> Sentence:
    none = [row for row in answer.rows if row["viewing"] == "none"]
    next_to = len(answer.rows) - len(none)
    text = sentence("Nobody watched {none} of the programme schedule", none=several(len(none), "show", "shows"))
    if not next_to:
        return (*text, ".")
    return text + sentence(", and next to nobody {others}.", others=several(next_to, "other", "others"))


def _unwatched_findings(answer: Answered) -> list[Finding]:
    text = _unwatched_text(answer)
    names = named([title_of(row) for row in answer.rows[:NAMED]], len(answer.rows))
    return [Finding("go", answer.question.name, text + names)]


NOBODY_WATCHES = Reading(("title", "network", "viewing"), _unwatched_bars, _unwatched_text, _unwatched_findings)


UNTOLD = "too few to tell"
LIKE_OTHERS = "as viewers alike"


def _departures(answer: Answered) -> list[Record]:
    """Return the rows of single shows with enough viewers to compare."""
    return [row for row in answer.rows if row["verdict"] != UNTOLD and row["ended"] is not None]


def _together(answer: Answered) -> list[Record]:
    """Return the rows of all shows with enough viewers to compare, by kind."""
    rows = [row for row in answer.rows if row["verdict"] != UNTOLD and row["ended"] is None]
    return sorted(rows, key=lambda row: list(KINDS).index(row["kind"]))


def _departure_bars(answer: Answered) -> str:
    rows = [
        svg.Bar(
            f"{row['title']}: {KINDS.get(row['kind'], row['kind'])}",
            (row["seen_again_percent"],),
            Number(row["seen_again_percent"], 1, PERCENT),
            str(row["verdict"]),
            row["expected_percent"],
        )
        for row in (_together(answer) + _departures(answer))[:ROWS]
    ]
    title = "Viewers seen again within 28 days of the end; the mark is what is expected of viewers alike."
    return svg.bars(title, rows) if rows else ""


KINDS = {"sole": "only it", "near_sole": "almost only it", "other": "other shows too"}
"""What viewers of a kind had watched, in words."""


def _departure_answer(answer: Answered) -> Sentence:
    rows = _together(answer)
    if not rows:
        return ("There is too little to tell: shows that ended have fewer than 50 viewers to compare.",)
    first = rows[0]
    return sentence(
        "Of those who had watched {kind}, {seen} were seen again within 28 days, against {expected} of viewers alike: "
        "{verdict}.",
        kind=KINDS[first["kind"]],
        seen=number_of(first["seen_again_percent"], PERCENT),
        expected=number_of(first["expected_percent"], PERCENT),
        verdict=str(first["verdict"]),
    )


def _departure_findings(answer: Answered) -> list[Finding]:
    rows = [row for row in _departures(answer) if row["verdict"] != LIKE_OTHERS][:NAMED]
    return [
        Finding(
            "changed",
            answer.question.name,
            sentence(
                "After {title} ended, {seen} of the {viewers} who had watched {kind} were seen again; of viewers alike "
                "it is {expected}.",
                title=title_of(row),
                seen=number_of(row["seen_again_percent"], PERCENT),
                viewers=row["compared"],
                kind=KINDS.get(row["kind"], str(row["kind"])),
                expected=number_of(row["expected_percent"], PERCENT),
            ),
        )
        for row in rows
    ]


LOST_VIEWERS = Reading(
    (*("title", "kind", "verdict", "compared", "seen_again_percent", "expected_percent", "ended"),),
    _departure_bars,
    _departure_answer,
    _departure_findings,
)

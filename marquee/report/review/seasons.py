"""Readings of seasons and launches: where viewers stop, and how shows start."""

from marquee.report.review import svg
from marquee.report.review.answers import Answered
from marquee.report.review.reading import NAMED, ROWS, Finding, Reading, title_of
from marquee.report.review.words import PERCENT, Name, Number, Record, Sentence, number_of, sentence, several

LINES, STRONG = 5, 3
"""Lines in a picture, and how many of them have a colour."""
MANY_STOP = 50
"""Percent of the starters of a season who stop after one episode, from which that is a finding."""
FEWEST = 5
"""Launches from which the mart has a median."""
FAST, SLOW = 150, 67
"""Percent of the median: a launch above or below is said to be fast or slow."""


def _season(row: Record) -> str:
    return f"{row['title']}, season {row['season']}"


def _stops(answer: Answered) -> list[Record]:
    return [row for row in answer.rows if row["stop_percent"] is not None and row["stop_after"] is not None]


def _stop_bars(answer: Answered) -> str:
    rows = [
        svg.Bar(
            _season(row),
            (row["stop_percent"],),
            Number(row["stop_percent"], 1, PERCENT),
            f"after episode {row['stop_after']}",
        )
        for row in _stops(answer)[:ROWS]
    ]
    return (
        svg.bars("Share of a season's starters who stop after one episode, the most of its episodes.", rows)
        if rows
        else ""
    )


def _stop_answer(answer: Answered) -> Sentence:
    rows = _stops(answer)
    if not rows:
        return ("No season has enough viewers whose time to go on is over.",)
    return _stop_text(rows[0])


def stopped(answer: Answered) -> dict[str, Sentence]:
    """Return where viewers stop by title, of shows with a season that many stop within."""
    many = [row for row in _stops(answer) if row["stop_percent"] >= MANY_STOP]
    return {
        row["title"]: sentence(
            "{percent} of the starters of season {season} stop after episode {episode}",
            percent=number_of(row["stop_percent"], PERCENT),
            season=str(row["season"]),
            episode=str(row["stop_after"]),
        )
        for row in reversed(many)
    }


def _stop_text(row: Record) -> Sentence:
    text = sentence(
        "{title}, season {season}: {percent} of those who start it stop after episode {episode}.",
        title=title_of(row),
        season=str(row["season"]),
        percent=number_of(row["stop_percent"], PERCENT),
        episode=str(row["stop_after"]),
    )
    last, share = row.get("last_episode"), row.get("last_percent")
    if last is None or share is None:
        return text
    kept = ("nobody",) if share == 0 else (number_of(share, PERCENT),)
    return text + sentence(
        " Of the {starters} starters, {kept} reached episode {last}, the last so far.",
        starters=row["starters"],
        kept=kept,
        last=str(last),
    )


def _stop_findings(answer: Answered) -> list[Finding]:
    rows = [row for row in _stops(answer) if row["stop_percent"] >= MANY_STOP][:1]
    return [Finding("changed", answer.question.name, _stop_text(row)) for row in rows]


WHERE_THEY_STOP = Reading(
    ("title", "season", "starters", "stop_after", "stop_percent"), _stop_bars, _stop_answer, _stop_findings
)


def _step_lines(answer: Answered) -> str:
    seasons: dict[str, list[Record]] = {}
    for row in answer.rows:
        if row["kept_percent"] is not None:
            seasons.setdefault(_season(row), []).append(row)
    long = {name: rows for name, rows in seasons.items() if len(rows) > 1}
    most = sorted(long, key=lambda name: (-max(row["viewers"] or 0 for row in long[name]), name))[:LINES]
    if not most:
        return ""
    lines = [
        svg.Line(
            name,
            tuple((float(row["episode"]), row["kept_percent"]) for row in sorted(long[name], key=_episode)),
            strong=at < STRONG,
        )
        for at, name in enumerate(most)
    ]
    last = max(x for line in lines for x, _ in line.points)
    return svg.lines(
        "Viewers of the first episode who go on, by episode.",
        lines,
        ("first episode", "", f"episode {last:g}"),
        "% of the first episode's viewers",
    )


def _episode(row: Record) -> float:
    return float(row["episode"])


def _step_answer(answer: Answered) -> Sentence:
    rows = [row for row in answer.rows if row["kept_percent"] is not None]
    if not rows:
        return ("No season has enough viewers whose time to go on is over.",)
    return sentence(
        "The steps of {seasons} are known. Who watched a later episode has reached those before it, so more can reach "
        "an episode than watch it.",
        seasons=several(len({_season(row) for row in rows}), "season", "seasons"),
    )


SEASON_STEPS = Reading(("title", "season", "episode", "viewers", "kept_percent"), _step_lines, _step_answer)


def _launches(answer: Answered) -> dict[str, list[Record]]:
    """Return the ages of each launch in order, by title; the latest premiere first."""
    found: dict[str, list[Record]] = {}
    for row in answer.rows:
        found.setdefault(str(row["title"]), []).append(row)
    return {title: sorted(rows, key=lambda row: int(row["age"])) for title, rows in found.items()}


def _launch_bars(answer: Answered) -> str:
    rows = [
        svg.Bar(
            f"{title}, day {last['age']}",
            (last["hours"],),
            Number(last["hours"], 1),
            f"{last['hours_index']:g}{PERCENT} of the median" if last["hours_index"] is not None else "",
            last["median_hours"],
        )
        for title, (*_, last) in [one for one in _launches(answer).items() if one[1][-1]["hours"] is not None][:ROWS]
    ]
    return (
        svg.bars("Hours since the premiere at the latest age; the mark is the median of launches.", rows)
        if rows
        else ""
    )


def _launch_text(row: Record) -> Sentence:
    text = sentence("{title}, {day} after its premiere: ", title=title_of(row), day=f"day {row['age']}")
    if row["hours"] is None:
        return text + sentence("too few viewers to tell.")
    text += sentence("{hours} hours", hours=Number(row["hours"], 1))
    if row["reach"] is not None:
        text += sentence(" and {viewers}", viewers=several(row["reach"], "viewer", "viewers"))
    if row["launches"] < FEWEST:
        return text + sentence(". There are too few launches to compare: {launches}.", launches=row["launches"])
    if row["hours_index"] is None:
        return (*text, ".")
    share = number_of(row["hours_index"], PERCENT)
    return text + sentence(", {share} of the median hours of {others}.", share=share, others=_others(row))


def _others(row: Record) -> Sentence:
    return sentence(
        "{launches} ({genre})",
        launches=several(row["launches"], "launch", "launches"),
        genre=Name(str(row["compared_with"])),
    )


def _launch_answer(answer: Answered) -> Sentence:
    return _launch_text(next(iter(_launches(answer).values()))[-1])


def _launch_findings(answer: Answered) -> list[Finding]:
    latest = [rows[-1] for rows in _launches(answer).values()]
    apart = [row for row in latest if row["hours_index"] is not None and not SLOW < row["hours_index"] < FAST]
    return [Finding("changed", answer.question.name, _launch_text(row)) for row in apart[:NAMED]]


LAUNCH = Reading(
    ("title", "age", "reach", "hours", "compared_with", "launches", "median_hours", "hours_index"),
    _launch_bars,
    _launch_answer,
    _launch_findings,
)

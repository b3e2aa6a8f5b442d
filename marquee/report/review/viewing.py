"""Readings of viewing hours: genres, dayparts, and shows that ended."""

from marquee.report.review import svg
from marquee.report.review.answers import Answered
from marquee.report.review.reading import NAMED, ROWS, Finding, Reading, country_of, of_example, title_of
from marquee.report.review.words import PERCENT, Name, Number, Record, Sentence, number_of, sentence, several

DAYPARTS = ("morning", "daytime", "evening", "night")
ENOUGH_PERCENT = 80
"""Percent of the expected hours from which viewing is said to have stayed."""


def _genre_heat(answer: Answered) -> str:
    by_country: dict[str, float] = {}
    by_genre: dict[str, float] = {}
    for row in answer.rows:
        by_country[row["country"]] = by_country.get(row["country"], 0) + row["hours"]
        by_genre[row["genre"]] = by_genre.get(row["genre"], 0) + row["hours"]
    asked = answer.question.example.get("country")
    countries = sorted(by_country, key=lambda one: (one != asked, -by_country[one], one))[:ROWS]
    genres = sorted(by_genre, key=lambda one: (-by_genre[one], one))[: ROWS + 2]
    cells = {(row["genre"], row["country"]): row["share_percent"] for row in answer.rows}
    return svg.heat(
        "Share of each country's hours by genre (a show counts for each of its genres), in percent; "
        "a dot marks the leading genre of a country.",
        genres,
        countries,
        [[cells.get((genre, country)) for country in countries] for genre in genres],
    )


def _genre_answer(answer: Answered) -> Sentence:
    first = of_example(answer).rows[0]
    return sentence(
        "{genre}: {hours} hours in {country}, {share} of all viewing there.",
        genre=Name(first["genre"]),
        hours=first["hours"],
        country=country_of(first),
        share=number_of(first["share_percent"], PERCENT),
    )


GENRE_HOURS = Reading(
    ("country", "country_name", "genre", "hours", "share_percent"),
    _genre_heat,
    _genre_answer,
)


def _dayparts(answer: Answered) -> list[dict[str, Record]]:
    """Return the rows of the example's genre by daypart, of each country; the example's country first."""
    asked, genre = answer.question.example.get("country"), answer.question.example.get("genre")
    found: dict[str, dict[str, Record]] = {}
    for row in answer.rows:
        if row["genre"] == genre:
            found.setdefault(row["country"], {})[row["daypart"]] = row
    hours = {one: sum(row["hours"] for row in rows.values()) for one, rows in found.items()}
    return [found[one] for one in sorted(found, key=lambda one: (one != asked, -hours[one], one))]


def _daypart_stacks(answer: Answered) -> str:
    found = _dayparts(answer)[:ROWS]
    if not found:
        return ""
    rows = [(_country(parts), _shares(parts)) for parts in found]
    rows.insert(1, (f"{_country(found[0])}, all genres", _bases(answer, found[0])))
    genre = answer.question.example.get("genre", "")
    return svg.stacks(f"Hours of {genre} by daypart of the viewer's day, in percent.", rows, DAYPARTS)


def _country(parts: dict[str, Record]) -> str:
    return country_of(next(iter(parts.values()))).text


def _shares(parts: dict[str, Record]) -> list[float]:
    return [(parts[one]["share_percent"] or 0.0) if one in parts else 0.0 for one in DAYPARTS]


def _bases(answer: Answered, parts: dict[str, Record]) -> list[float]:
    """Return the shares of dayparts of all viewing in the parts' country, also where its genre has no row."""
    country = next(iter(parts.values()))["country"]
    bases = {row["daypart"]: row["base_percent"] for row in answer.rows if row["country"] == country}
    return [bases.get(one) or 0.0 for one in DAYPARTS]


def _daypart_answer(answer: Answered) -> Sentence:
    first = max(of_example(answer).rows, key=lambda row: row["share_percent"] or 0)
    return sentence(
        "In the {daypart}: {share} of the hours of {genre} in {country}, against {base} of all viewing there.",
        daypart=first["daypart"],
        share=number_of(first["share_percent"] or 0, PERCENT),
        genre=Name(first["genre"]),
        country=country_of(first),
        base=number_of(first["base_percent"] or 0, PERCENT),
    )


GENRE_DAYPART = Reading(
    ("country", "country_name", "genre", "daypart", "hours", "share_percent", "base_percent"),
    _daypart_stacks,
    _daypart_answer,
)


def _ended(answer: Answered) -> list[Record]:
    """Return the shows that ended and can be compared."""
    return [row for row in answer.rows if row["after_percent"] is not None and row["ended"] is not None]


def fallen_shows(answer: Answered) -> list[Record]:
    """Return the shows that ended and lost viewing beyond the catalogue's own change."""
    return [row for row in _ended(answer) if row["after_percent"] < ENOUGH_PERCENT]


def _days(row: Record) -> Sentence:
    """Say how many days are compared."""
    before = several(row["days_before"], "day", "days")
    return sentence("{before} before with {after} after", before=before, after=row["days_after"])


def _end_bars(answer: Answered) -> str:
    rows = [
        svg.Bar(
            str(row["title"]),
            (row["after_percent"],),
            Number(row["after_percent"], 1, PERCENT),
            f"ended {row['ended']}",
        )
        for row in _ended(answer)[:ROWS]
    ]
    title = "Hours a day after the end, in percent of what the whole catalogue would lead to expect."
    return svg.bars(title, rows, (100, f"100{PERCENT}: as the catalogue")) if rows else ""


def _end_answer(answer: Answered) -> Sentence:
    rows = _ended(answer)
    if not rows:
        return ("No show ended within the hours that can be compared.",)
    fell = len(fallen_shows(answer))
    text = sentence(
        "Of {shows} that ended, {fell} lost viewing beyond the catalogue's own change, and {kept} did not.",
        shows=several(len(rows), "show", "shows"),
        fell=fell,
        kept=len(rows) - fell,
    )
    every = next((row for row in answer.rows if row["ended"] is None and row["after_percent"] is not None), None)
    if every is None:
        return text
    together = number_of(every["after_percent"], PERCENT)
    return text + sentence(" Together they kept {percent} of the hours to expect.", percent=together)


def _end_findings(answer: Answered) -> list[Finding]:
    return [
        Finding(
            "changed",
            answer.question.name,
            sentence(
                "{title} ended on {day} and went from {before} to {after} hours a day, {percent} of what the "
                "catalogue's own change leads to expect; this compares {days}.",
                title=title_of(row),
                day=str(row["ended"]),
                before=row["before_hours_a_day"],
                after=row["after_hours_a_day"],
                percent=number_of(row["after_percent"], PERCENT),
                days=_days(row),
            ),
        )
        for row in _ended(answer)[:NAMED]
    ]


AFTER_THE_END = Reading(
    ("title", "ended", "days_before", "days_after", "before_hours_a_day", "after_hours_a_day", "after_percent"),
    _end_bars,
    _end_answer,
    _end_findings,
)

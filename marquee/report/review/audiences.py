"""Readings of the audiences of shows: who watches nothing else, who comes back, where a show is big."""

from marquee.report.review import svg
from marquee.report.review.answers import Answered
from marquee.report.review.reading import (
    NAMED,
    ROWS,
    Bars,
    Finding,
    First,
    Reading,
    country_of,
    of_example,
    title_of,
    worldwide,
)
from marquee.report.review.words import PERCENT, Number, Record, Sentence, listed, number_of, sentence, several

BIG_AT_HOME = 3
"""A show is big in a country that has it among so many of most reach …"""
LOW_WORLDWIDE = 10
"""… and that ranks it at least so many places higher than the world does."""
MULTILINGUAL_INDEX = 300
"""Share of multilingual viewers of a show, in percent of the average, from which it is one for them."""


def _sole_shows(answer: Answered) -> Answered:
    """Return the shows with viewers who watch nothing else, most viewers first."""
    rows = [row for row in worldwide(answer).rows if row["sole_viewers"]]
    return Answered(
        answer.question,
        tuple(one for one in answer.columns if one != "place"),
        tuple(sorted(rows, key=lambda row: (-row["sole_viewers"], row["title"]))),
    )


def _sole_answer(answer: Answered) -> Sentence:
    rows = _sole_shows(answer).rows
    if not rows:
        return ("Every viewer watches more than one show.",)
    return sentence("{sentence}.", sentence=_only(rows[0]))


def _only(row: Record) -> Sentence:
    text = sentence(
        "{title} is the only show of {sole}",
        title=title_of(row),
        sole=several(row["sole_viewers"], "viewer", "viewers"),
    )
    if row["sole_percent"] is None:
        return text
    share = number_of(row["sole_percent"], PERCENT)
    return text + sentence(", {percent} of the {reach} that it reached", percent=share, reach=row["reach"])


def _sole_findings(answer: Answered) -> list[Finding]:
    first, *others = _sole_shows(answer).rows or (None,)
    if first is None:
        return []
    text = (*_only(first), ".")
    if others:
        equal = [row for row in others if row["sole_viewers"] == others[0]["sole_viewers"]]
        text += sentence(
            " The next, {titles}, would lose {sole}{each}.",
            titles=listed([title_of(row) for row in equal])
            if len(equal) <= NAMED
            else several(len(equal), "show", "shows"),
            sole=others[0]["sole_viewers"],
            each=" each" if len(equal) > 1 else "",
        )
    return [Finding("keep", answer.question.name, text)]


MUST_NOT_CANCEL = Reading(
    ("title", "reach", "sole_viewers", "sole_percent", "near_sole_viewers"),
    lambda answer: Bars("title", "sole_viewers", beside="sole_percent", more="near_sole_viewers")(_sole_shows(answer)),
    _sole_answer,
    _sole_findings,
)


def loyal_shows(answer: Answered) -> list[Record]:
    """Return the shows with a small but loyal audience."""
    return [row for row in answer.rows if row["small_but_loyal"] == "yes"]


def _loyal_points(answer: Answered) -> str:
    rows = [row for row in answer.rows if row["loyalty_percent"] is not None and row["reach"]]
    those = [
        svg.Point(str(row["title"]), row["reach"], row["loyalty_percent"], row["small_but_loyal"] == "yes")
        for row in rows
    ]
    title = "Shows by reach and by the share that the average viewer watched; filled: small but loyal."
    return svg.points(title, those, "viewers reached", "% watched by the average viewer") if those else ""


def _loyal_answer(answer: Answered) -> Sentence:
    yes = loyal_shows(answer)
    if not yes:
        return ("No show has a small but loyal audience.",)
    return sentence(
        "{shows}. First is {title}: {reach} viewers watched {loyalty} of it on average, on {days} days.",
        shows=several(len(yes), "show has a small but loyal audience", "shows have a small but loyal audience"),
        title=title_of(yes[0]),
        reach=yes[0]["reach"],
        loyalty=number_of(yes[0]["loyalty_percent"], PERCENT),
        days=yes[0]["return_days"],
    )


def _loyal_findings(answer: Answered) -> list[Finding]:
    yes = loyal_shows(answer)[:NAMED]
    if not yes:
        return []
    text = sentence(
        "{titles} {has} a small but loyal audience.",
        titles=listed([title_of(row) for row in yes]),
        has="has" if len(yes) == 1 else "have",
    )
    return [Finding("keep", answer.question.name, text)]


SMALL_BUT_LOYAL = Reading(
    ("title", "small_but_loyal", "reach", "loyalty_percent", "return_days"),
    _loyal_points,
    _loyal_answer,
    _loyal_findings,
)


def shows_at_home(answer: Answered) -> list[Record]:
    """Return the shows that are low worldwide and big in a country, the highest places in a country first."""
    return sorted(
        (
            row
            for row in answer.rows
            if row["country_place"] <= BIG_AT_HOME and (row["places_lost"] or 0) >= LOW_WORLDWIDE
        ),
        key=lambda row: (row["country_place"], -row["reach"], row["title"]),
    )


def _home_bars(answer: Answered) -> str:
    rows = [
        svg.Bar(
            f"{row['title']} · {country_of(row).text}",
            (row["country_percent"],),
            Number(row["country_percent"], 1, PERCENT),
            f"place {row['country_place']}, worldwide {row['world_place']}",
            row["world_percent"],
        )
        for row in (shows_at_home(answer) or list(of_example(answer).rows))
        if row["country_percent"] is not None
    ]
    return (
        svg.bars("Share of the country's viewers reached; the mark is the share worldwide.", rows[:ROWS])
        if rows
        else ""
    )


def _home_text(row: Record) -> Sentence:
    return sentence(
        "{title} is at place {here} in {country}, where it reaches {percent} of the viewers, and at place {world} "
        "worldwide.",
        title=title_of(row),
        here=row["country_place"],
        country=country_of(row),
        percent=number_of(row["country_percent"] or 0, PERCENT),
        world=row["world_place"],
    )


def _home_answer(answer: Answered) -> Sentence:
    asked = [row for row in of_example(answer).rows if row["places_lost"] is not None]
    return (
        _home_text(max(asked, key=lambda row: row["places_lost"])) if asked else ("There are too few viewers to show.",)
    )


def _home_findings(answer: Answered) -> list[Finding]:
    return [Finding("keep", answer.question.name, _home_text(row)) for row in shows_at_home(answer)[:1]]


BIG_IN_ONE_COUNTRY = Reading(
    (
        *("country", "country_name", "title", "country_place", "world_place", "places_lost", "reach"),
        *("country_percent", "world_percent"),
    ),
    _home_bars,
    _home_answer,
    _home_findings,
)


def multilingual_shows(answer: Answered) -> list[Record]:
    """Return the shows whose viewers watch in several languages much more than others do, most viewers first."""
    rows = [row for row in worldwide(answer).rows if (row["multilingual_index"] or 0) >= MULTILINGUAL_INDEX]
    return sorted(rows, key=lambda row: (-row["multilingual_viewers"], row["title"]))


def _multilingual_findings(answer: Answered) -> list[Finding]:
    return [
        Finding(
            "keep",
            answer.question.name,
            sentence(
                "{percent} of the viewers of {title} watch in several languages; of all viewers it is {base}.",
                title=title_of(row),
                percent=number_of(row["share_percent"], PERCENT),
                base=number_of(row["base_percent"], PERCENT),
            ),
        )
        for row in multilingual_shows(answer)[:1]
    ]


MULTILINGUAL = Reading(
    ("title", "reach", "multilingual_viewers", "share_percent", "base_percent", "multilingual_index"),
    Bars("title", "multilingual_viewers", beside="share_percent"),
    First(
        "{name}: {multilingual_viewers} of its {reach} viewers watch in several languages, {share_percent}; of all "
        "viewers it is {base_percent}.",
        "share_percent",
    ),
    _multilingual_findings,
)
BINGE = Reading(
    ("title", "reach", "binge_viewers", "binge_percent"),
    Bars("title", "binge_percent", PERCENT, beside="binge_viewers"),
    First(
        "{name}: {binge_percent} of its {reach} viewers watched three or more episodes in one sitting.", "binge_percent"
    ),
)
TOP_SHOWS = Reading(
    ("title", "hours", "reach"),
    Bars("title", "hours", beside="reach"),
    First(
        "{name} has the most hours: {hours}, watched by {reach} viewers. What shows cost is not known here.", "hours"
    ),
)
BY_SHOW = Reading(
    ("title", "hours_a_viewer", "reach"),
    Bars("title", "hours_a_viewer", beside="reach", average=True),
    First("{name}: {hours_a_viewer} hours for each of its {reach} viewers.", "hours_a_viewer"),
)
BY_GENRE = Reading(
    ("genre", "hours", "hours_a_viewer"),
    Bars("genre", "hours_a_viewer"),
    First("{name}: {hours_a_viewer} hours for each active viewer.", "hours_a_viewer", "genre"),
)
BY_NETWORK = Reading(
    ("network", "hours", "hours_a_viewer"),
    Bars("network", "hours_a_viewer"),
    First("{name}: {hours_a_viewer} hours for each active viewer.", "hours_a_viewer", "network"),
)
BY_COUNTRY = Reading(
    ("country", "country_name", "hours_a_viewer", "active_viewers"),
    Bars("country_name", "hours_a_viewer", beside="active_viewers", average=True),
    First("{name}: {hours_a_viewer} hours for each of {active_viewers} active viewers.", "hours_a_viewer", "country"),
)

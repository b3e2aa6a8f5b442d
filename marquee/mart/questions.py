"""The questions that a mart answers, each with a view of ``schema/views.sql``."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from marquee.errors import ConfigError
from marquee.mart.base import Mart, read_mart
from marquee.mart.ledger import Answer
from marquee.mart.narrowed import bounds_of, narrow
from marquee.mart.settings import MartSettings

CREDIT = "Shows and episodes: TVmaze (https://www.tvmaze.com), CC BY-SA 4.0"
"""The credit to show with every answer."""


@dataclass(frozen=True)
class Question:
    """A question: its name, its words, how the answer is computed, and the order and number of rows shown.

    ``example`` filters the view to what the words ask (a country, a genre); without it, the view answers for all.
    """

    name: str
    words: str
    reckoning: str
    order: str
    limit: int = 20
    example: Mapping[str, str] = field(default_factory=dict)

    @property
    def view(self) -> str:
        """The view that answers the question."""
        return "q_" + self.name.replace("-", "_")


QUESTIONS = (
    Question(
        "genre-hours",
        "What genre gets the most viewing hours in Korea?",
        "Hours of all loaded plays, by country and genre. A show counts in full for each of its genres; "
        "fractional_hours and share_percent divide it among them.",
        "place, hours desc, country, genre",
        example={"country": "KR"},
    ),
    Question(
        "genre-daypart",
        "Do Americans watch crime shows in the morning or in the evening?",
        "Hours by the viewer's local hour: morning 6-12, daytime 12-18, evening 18-23, night 23-6; "
        "share_percent is the share of the genre's hours in the country.",
        "place, hours desc, country, genre, daypart",
        example={"country": "US", "genre": "Crime"},
    ),
    Question(
        "after-the-end",
        "Does a show's popularity drop after it stopped production?",
        "Hours a day in the four weeks after the show ended (and from the tenth week on), divided by those in the four "
        "weeks before, in percent of the same ratio of the whole catalogue: 100 means the same change as the "
        "catalogue. The windows are limited to the loaded hours.",
        "case when after_percent is null then 1 else 0 end, after_percent, title",
    ),
    Question(
        "multilingual",
        "What shows are popular with multilingual viewers?",
        "Share of multilingual viewers among the viewers reached by the show, in percent of their share among all "
        "viewers: above 100 means more than average. Shows that reached at least 50 viewers.",
        "place, title",
    ),
    Question(
        "small-but-loyal",
        "Is this show popular with a small but loyal audience?",
        "Yes, if the show reached at least 50 viewers but fewer than the median show, and the share of it that its "
        "average viewer watched is in the upper quarter of the catalogue.",
        "small_but_loyal desc, loyalty_percent desc, title",
    ),
    Question(
        "binge",
        "Do people binge-watch this show?",
        "Share of the viewers reached who watched at least binge_episodes (3), or at least 5, of its episodes in one "
        "sitting. Shows that reached at least 50 viewers.",
        "place, title",
    ),
    Question(
        "must-not-cancel",
        "Which shows must not be cancelled?",
        "Viewers who watched only, or almost only, this show, and their share of its reach; valued_hours weights each "
        "viewer's hours by the show's share of the viewer's viewing. New viewers have separate columns, because they "
        "have had little time for a second show.",
        "place, title",
    ),
    Question(
        "big-in-one-country",
        "Which shows are low worldwide and big in Japan?",
        "The ten shows with the highest reach in each country, by how many places lower they rank worldwide. "
        "Viewers are not summed: each figure is counted for its country, or worldwide.",
        "places_lost desc, country_place, country, title",
        example={"country": "JP"},
    ),
    Question(
        "top-shows",
        "Are we licensing the right shows?",
        "Hours watched, views (hours divided by the runtime of the episodes watched) and reach (viewers), worldwide.",
        "place, title",
    ),
    Question(
        "engagement-by-show",
        "How engaged are our customers, by show?",
        "Average hours of the show for each viewer reached. Shows that reached at least 50 viewers.",
        "place, title",
    ),
    Question(
        "engagement-by-genre",
        "How engaged are our customers, by genre?",
        "Hours of the genre, and these hours divided by all active viewers. A show counts in full for each of its "
        "genres.",
        "place, genre",
    ),
    Question(
        "engagement-by-network",
        "How engaged are our customers, by network?",
        "Hours of the shows of a network or streaming channel, and these hours divided by all active viewers.",
        "place, network",
    ),
    Question(
        "engagement-by-country",
        "How engaged are our customers, by country?",
        "Average viewing hours of an active viewer in the country.",
        "place, country",
    ),
)
"""All questions, in the order of lists."""


def find_question(name: str) -> Question:
    """Return a question by its name. ConfigError suggests the nearest name, or lists all."""
    found = next((one for one in QUESTIONS if one.name == name), None)
    if found is None:
        names = [one.name for one in QUESTIONS]
        near = difflib.get_close_matches(name, names, 1, 0.5)
        hint = f"Did you mean {near[0]}?" if near else f"Use one of: {', '.join(names)}"
        message = f"Unknown question {name!r}. {hint}"
        raise ConfigError(message)
    return found


def ask(
    settings: MartSettings, question: str | None = None, limit: int | None = None, only: Mapping[str, str] | None = None
) -> Answer:
    """Return the columns and rows that answer a question; without a question, return the list of questions.

    Args:
        settings: the mart.
        question: name of a question.
        limit: maximum number of rows; the question's own when None, all when 0.
        only: values that columns of the answer must have, such as ``{"country": "KR"}``.

    Raises:
        ConfigError: the mart, question or column does not exist.
        TryAgainError: the mart is being loaded, or cannot be reached.
    """
    if question is None:
        return ["name", "question", "reckoning"], [(one.name, one.words, one.reckoning) for one in QUESTIONS]
    chosen = find_question(question)
    with read_mart(settings) as mart:
        return _answer(mart, chosen, chosen.limit if limit is None else limit, only or {})


def _answer(mart: Mart, question: Question, limit: int, only: Mapping[str, str]) -> Answer:
    return mart.query(*query_of(mart, question, limit, only))


def query_of(
    mart: Mart, question: Question, limit: int, only: Mapping[str, str], period: str | None = None
) -> tuple[str, list[Any]]:
    """Return the query that answers a question, and its parameters.

    Args:
        mart: the mart.
        question: the question.
        limit: maximum number of rows; all when 0.
        only: values that columns of the answer must have.
        period: the period, or span ``first/last``, of the answer; the view's own choice when None.

    Raises:
        ConfigError: the answer has no such column, or nothing of the period is loaded.
    """
    columns, _ = mart.query(f"select * from {question.view} where 1 = 0")  # noqa: S608 - our own names
    for name in only:
        if name not in columns:
            message = f"{question.name} has no column {name!r}. Use one of: {', '.join(columns)}"
            raise ConfigError(message)
    where = "".join(f" and cast({name} as char) = ?" for name in only)
    most = f" limit {limit}" if limit > 0 else ""
    sql = f"select * from {question.view} where 1 = 1{where} order by {question.order}{most}"  # noqa: S608 - our own names
    if period is None:
        return sql, list(only.values())
    narrowed = narrow(question.view, period)
    _check_loaded(mart, question, period, audience=narrowed.audience)
    return narrowed.expressions + sql, [*narrowed.parameters, *only.values()]


def audience_periods(mart: Mart) -> list[str]:
    """Return the periods whose audience is loaded, in chronological order, shorter ones first."""
    _, rows = mart.query(
        "select period from load_ledger where dataset = 'audience_base' order by ends_at, starts_at desc"
    )
    return [period for (period,) in rows]


def _check_loaded(mart: Mart, question: Question, period: str, *, audience: bool) -> None:
    if audience:
        if period not in (loaded := audience_periods(mart)):
            there = f"Use one of: {', '.join(loaded)}" if loaded else "No audience is loaded"
            message = f"{question.name}: the mart has no audience of {period!r}. {there}"
            raise ConfigError(message)
        return
    hours = "from load_ledger where dataset = 'viewership'"
    _, found = mart.query(f"select 1 {hours} and starts_at >= ? and ends_at <= ? limit 1", bounds_of(period))
    if not found:
        _, ((first, last),) = mart.query(f"select min(period), max(period) {hours}")
        there = f"Use a period that overlaps {first} to {last}" if first else "No hour is loaded"
        message = f"{question.name}: the mart has no viewership of {period!r}. {there}"
        raise ConfigError(message)

"""The questions that a mart answers, each with a view of ``schema/views.sql``."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from marquee.errors import ConfigError
from marquee.lake.datasets import WORLDWIDE
from marquee.mart.base import Mart, read_mart
from marquee.mart.ledger import Answer
from marquee.mart.narrowed import bounds_of, narrow
from marquee.mart.settings import MartSettings

CREDIT = "Shows and episodes: TVmaze (https://www.tvmaze.com), CC BY-SA 4.0"
"""The credit to show with every answer."""
_WITH_ARTICLE = re.compile(r"^United |(Republic|Islands|Netherlands|Philippines)$")
"""Names of countries that have an article in a sentence."""
_NEAR = 0.75
"""Likeness of names, of 1, above which one is suggested for the other."""
_STEM = 4
"""Letters of a word that is long enough to suggest a question by."""
_SUGGESTED = 3
"""Maximum number of questions that are suggested."""

_OVERALL_FIRST = "case when place is null then 0 else 1 end"
_UNRANKED_LAST = "case when place is null then 1 else 0 end"


@dataclass(frozen=True)
class Question:
    """A question: its name, its words, how the answer is computed, and the order and number of rows shown.

    ``example`` filters the view to what the words ask (a country, a genre); without it, the view answers for all.
    ``template`` has the words for any filter, with ``{country}`` and ``{genre}``. ``also`` are other names.
    ``nothing`` says why there may be no rows although everything is loaded.
    """

    name: str
    words: str
    reckoning: str
    order: str
    limit: int = 20
    example: Mapping[str, str] = field(default_factory=dict)
    template: str = ""
    also: tuple[str, ...] = ()
    nothing: str = ""

    @property
    def view(self) -> str:
        """The view that answers the question."""
        return "q_" + self.name.replace("-", "_")

    def heading(self, only: Mapping[str, str], country: str | None = None) -> str:
        """Return the words of the question for a filter; ``country`` is the name of its country, if known.

        Example:
            >>> find_question("genre-hours").heading({"country": "JP"}, "Japan")
            'What genre gets the most viewing hours in Japan?'
            >>> find_question("binge").heading({"title": "Case"})
            'Do people binge-watch this show? (title: Case)'
        """
        if only == self.example:
            return self.words
        template = self.template or self.words
        shown = {**only, **({"country": country} if country and "country" in only else {})}
        slots = {"country": _in_country(shown.get("country")), "genre": _of_genre(shown.get("genre"))}
        beside = [f"{name}: {value}" for name, value in shown.items() if f"{{{name}}}" not in template]
        return template.format(**slots) + (f" ({', '.join(beside)})" if beside else "")


def _in_country(name: str | None) -> str:
    if name is None:
        return "in each country"
    if name in {WORLDWIDE, "worldwide"}:
        return "worldwide"
    return f"in the {name}" if _WITH_ARTICLE.search(name) else f"in {name}"


def _of_genre(name: str | None) -> str:
    return "shows of each genre" if name is None else f"{name} shows"


QUESTIONS = (
    Question(
        "genre-hours",
        "What genre gets the most viewing hours in Korea?",
        "Hours of all loaded plays, by country and genre. A show counts in full for each of its genres, so "
        "share_percent of the country's hours sums to more than 100; fractional_hours and fractional_percent divide "
        "the show among them.",
        "place, hours desc, country, genre",
        example={"country": "KR"},
        template="What genre gets the most viewing hours {country}?",
        also=("genres", "top-genres", "best-genre"),
    ),
    Question(
        "genre-daypart",
        "Do Americans watch crime shows in the morning or in the evening?",
        "Hours by the viewer's local hour: morning 6-12, daytime 12-18, evening 18-23, night 23-6. share_percent is "
        "the daypart's share of the genre's hours in the country, base_percent its share of all hours there: a "
        "daypart_index above 100 means more than other viewing. Dayparts differ in length; hours_an_hour divides by "
        "it. Shares are of the hours whose daypart has enough viewers: a daypart that is not listed has too few, or "
        "none.",
        "place, hours desc, country, genre, daypart",
        example={"country": "US", "genre": "Crime"},
        template="Do viewers {country} watch {genre} in the morning or in the evening?",
        also=("daypart", "dayparts", "time-of-day", "morning-or-evening"),
    ),
    Question(
        "after-the-end",
        "Does a show's popularity drop after it stopped production?",
        "Hours a day in the four weeks after the show ended (and from the tenth week on), divided by those in the four "
        "weeks before, in percent of the same ratio of the whole catalogue: 100 means the same change as the "
        "catalogue. The windows are limited to the loaded hours: days_before and days_after say how many days are "
        "compared. reason says why a show is not compared.",
        "case when ended is null then 1 when reason is null then 2 else 3 end, "
        "case when after_percent is null then 1 else 0 end, after_percent, ended desc, title",
        also=("ended", "ended-shows", "after-cancellation"),
    ),
    Question(
        "multilingual",
        "What shows are popular with multilingual viewers?",
        "Multilingual viewers among the viewers reached by the show. multilingual_index is their share in percent of "
        "their share among all viewers there: above 100 means more than average. Shares are given for shows that "
        "reached at least 50 viewers.",
        f"country, {_UNRANKED_LAST}, place, reach desc, title",
        example={"country": WORLDWIDE},
        template="What shows are popular with multilingual viewers {country}?",
        also=("languages", "bilingual", "multilingual-viewers"),
    ),
    Question(
        "small-but-loyal",
        "Is this show popular with a small but loyal audience?",
        "Yes, if the show reached at least 50 viewers but fewer than the median show, and three measures are in the "
        "upper quarter of the catalogue: the share of the show that its average viewer watched, the days on which a "
        "viewer came back (at least 2), and the share of loyal viewers. Loyal viewers are unknown, and not required, "
        "until three weeks of the period (of a week: three days) have passed.",
        "small_but_loyal desc, return_days desc, loyalty_percent desc, title",
        also=("loyal", "niche", "cult", "hidden-gems"),
    ),
    Question(
        "binge",
        "Do people binge-watch this show?",
        "Share of the viewers reached who watched at least binge_episodes (3), or at least 5, of its episodes in one "
        "sitting. Shows that reached at least 50 viewers.",
        f"{_UNRANKED_LAST}, place, title",
        also=("binge-watch", "binge-watching", "bingeing"),
    ),
    Question(
        "must-not-cancel",
        "Which shows must not be cancelled?",
        "Viewers who watched only, or almost only, this show, and their share of its reach (of at least 50); "
        "valued_hours weights each viewer's hours by the show's share of the viewer's viewing. New viewers have "
        "separate columns, because they have had little time for a second show. Each show is judged alone: a set of "
        "shows loses more viewers than the sum, because viewers who watch only these shows are sole viewers of none. "
        "Count a set with `marquee what-if`.",
        f"country, {_UNRANKED_LAST}, place, sole_percent desc, title",
        example={"country": WORLDWIDE},
        template="Which shows must not be cancelled {country}?",
        also=("keep", "sole", "indispensable", "do-not-cancel"),
    ),
    Question(
        "removal-order",
        "What can be removed at the least cost?",
        "Each step removes the show whose removal leaves the fewest further viewers with nothing to watch; of equals "
        "the one with the fewest hours. Beside it: what as many shows lose in the order of the fewest hours, the least "
        "reach, and the fewest sole viewers. Of all viewers. For another set: `marquee what-if --remove SHOW`.",
        "step",
    ),
    Question(
        "keep-order",
        "Which shows reach the most people together?",
        "Each step keeps the show that adds the most viewers, each counted once (TURF); of equals the one with the "
        "most hours. Beside it: whom as many shows reach in the order of the most hours and of the most reach.",
        "step",
    ),
    Question(
        "overlap",
        "What else do a show's viewers watch?",
        "Share of a show's viewers whom the other show reached, too. Affinity: that share in percent of the other "
        "show's share of all active viewers; above 100 means that they like it more than others do. Of the 300 shows "
        "of most reach.",
        "place, affinity_index desc, title, other_title",
    ),
    Question(
        "big-in-one-country",
        "Which shows are low worldwide and big in Japan?",
        "The ten shows with the highest reach in each country, by how many places lower they rank worldwide. A show "
        "that reached fewer than 50 viewers there is listed, but not compared. Viewers are not summed: each figure is "
        "counted for its country, or worldwide.",
        "places_lost desc, country_place, country, title",
        example={"country": "JP"},
        template="Which shows are low worldwide and big {country}?",
        also=("local-hits", "country-hits", "big-in"),
    ),
    Question(
        "top-shows",
        "Are we licensing the right shows?",
        "Hours watched, views (hours divided by the runtime of the episodes watched: whole runs, so a viewer who plays "
        "a part counts as less than one) and reach (viewers), worldwide. The row of all shows "
        "includes those in no captured schedule; its reach is all active viewers.",
        f"{_OVERALL_FIRST}, place, title",
        also=("top", "shows", "most-watched", "popular"),
    ),
    Question(
        "engagement-by-show",
        "How engaged are our customers, by show?",
        "Average hours of the show for each viewer reached. Shows that reached at least 50 viewers. The row of all "
        "shows is the average of all active viewers.",
        f"{_OVERALL_FIRST}, place, title",
        also=("engagement", "by-show"),
    ),
    Question(
        "engagement-by-genre",
        "How engaged are our customers, by genre?",
        "Hours of the genre, and these hours divided by all active viewers; reach counts each viewer of the genre "
        "once. A show counts in full for each of its genres.",
        f"{_OVERALL_FIRST}, place, genre",
        also=("by-genre",),
    ),
    Question(
        "engagement-by-network",
        "How engaged are our customers, by network?",
        "Hours of the shows of a network or streaming channel, and these hours divided by all active viewers.",
        f"{_OVERALL_FIRST}, place, network",
        also=("by-network", "networks"),
    ),
    Question(
        "engagement-by-country",
        "How engaged are our customers, by country?",
        "Average viewing hours of an active viewer in the country. The row '**' is of all viewers worldwide.",
        f"{_OVERALL_FIRST}, place, country",
        also=("by-country", "countries"),
    ),
    Question(
        "trend",
        "Which shows and genres gain or lose hours and viewers?",
        "The last four complete weeks of the period against the four before. Up or down: a change of at least 5 % and "
        "of more than three standard errors, which *_noise_percent gives in percent. Hours up, reach down: fewer "
        "viewers watch more.",
        "case when kind = 'all' then 1 when trend = 'hours up, reach down' then 2 "
        "when trend = 'hours steady, reach steady' then 4 "
        "when trend in ('too few viewers', 'too few weeks') then 5 else 3 end, "
        "abs(hours_now - hours_before) desc, kind, title",
        also=("trends", "changes", "gains-and-losses"),
        nothing="No week up to the end of the period is loaded",
    ),
    Question(
        "trend-by-week",
        "How do hours and viewers change from week to week?",
        "Hours, viewers reached, and viewers who watched nothing else, in each week up to the end of the period. "
        "A show counts in full for each of its genres. A week that is not complete is to date.",
        "case kind when 'all' then 1 when 'genre' then 2 else 3 end, title, week",
        example={"kind": "all"},
        also=("by-week", "weekly", "week-by-week"),
        nothing="No week up to the end of the period is loaded",
    ),
    Question(
        "nobody-watches",
        "What does nobody watch?",
        "Shows of the captured schedule without any viewing in the period (none), or with fewer viewers than may be "
        "published or than one in 10,000 (next to none). last_watched is their last day with a play; without one, "
        "nobody has watched them since loaded_from.",
        "case when viewing = 'none' then 1 else 2 end, case when last_watched is null then 1 else 2 end, last_watched, "
        "hours, title",
        also=("unwatched", "nobody", "not-watched"),
    ),
    Question(
        "lost-viewers",
        "Do viewers leave when their show ends?",
        "Of the viewers of each show that ended, who watched only it, almost only it, or other shows too: how many "
        "were seen again within 28 days, and how many are expected, from viewers alike (same country, hours within a "
        "factor of two, same number of shows) who did not watch it. Below 50 viewers to compare, too few to tell.",
        "case when ended is null then 1 when verdict = 'too few to tell' then 3 else 2 end, "
        "case kind when 'sole' then 1 when 'near_sole' then 2 else 3 end, difference_points, title",
        also=("leavers", "left", "do-they-leave", "churn"),
        nothing="No show ended 28 days before a day of a complete week",
    ),
    Question(
        "catalogue",
        "What does each show of the catalogue bring?",
        "Hours, and the viewers reached: those who watch nothing else, or almost nothing else, and those who come "
        "back. The top country is the one with the highest reach.",
        "place, title",
        also=("what-shows-bring", "all-shows"),
    ),
    Question(
        "where-they-stop",
        "Where do viewers stop?",
        "Of the viewers of a season's first captured episode, the share who go on to the second, the third and the "
        "last (or a later one), each within window_days of the episode before, or of its air date: so weekly seasons "
        "and seasons at once are comparable. Viewers whose window is not over are left aside; those who are left must "
        "stand for 50 viewers of the first. stop_after is the episode after which the most stop. mid_season viewers "
        "are between two episodes now.",
        "case when place is null then 1 else 0 end, place, mid_season desc, title, season",
        also=("stops", "drop-off", "completion"),
    ),
    Question(
        "season-steps",
        "How many viewers go on to each episode?",
        "reached viewers, of those at_risk: who arrived at the episode before and had window_days to go on. Who "
        "watched this episode or a later one has reached it; viewers watched this very episode, at risk or not. "
        "starters watched the first captured episode. kept_percent is the product of the steps, of the "
        "viewers of the first captured episode.",
        "starters desc, title, season, episode",
        also=("episodes", "steps"),
    ),
    Question(
        "launch",
        "How did a show start?",
        "Viewers and hours since the premiere, on its day (1) and up to its 3rd, 7th, 28th and 91st day, beside the "
        "median of the launches in a genre of the show (that with the fewest, of at least 5 launches; otherwise of all "
        "launches; of fewer than 5 there is no median). Shows that premiered in the 91 days up to the end of the "
        "period.",
        "premiered desc, title, age",
        also=("launches", "premieres", "starts"),
        nothing="No watched show premiered on a loaded day of the 91 days up to the end of the period",
    ),
)
"""All questions, in the order of lists."""


def find_question(name: str) -> Question:
    """Return a question by its name, another name of it, or its words.

    ConfigError suggests the nearest names, then questions with such words, or lists all.
    """
    slug = _slug(name).removeprefix("q-")
    for one in QUESTIONS:
        if slug in {one.name, *one.also, _slug(one.words)}:
            return one
    near = _near_names(slug) or _with_words(slug)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Use one of: {', '.join(one.name for one in QUESTIONS)}"
    message = f"Unknown question {name!r}. {hint}"
    raise ConfigError(message)


def _slug(text: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", text.casefold()))


def _near_names(slug: str) -> list[str]:
    owners = {name: one.name for one in QUESTIONS for name in (one.name, *one.also)}
    return list(dict.fromkeys(owners[name] for name in difflib.get_close_matches(slug, owners, 1, _NEAR)))


def _with_words(slug: str) -> list[str]:
    """Return the names of the questions that have most of a text's words, such as must-not-cancel for cancel."""
    asked = [word for word in slug.split("-") if len(word) >= _STEM]
    scores = {one.name: sum(_weight(one, word) for word in asked) for one in QUESTIONS}
    best = max(scores.values())
    return [name for name, score in scores.items() if score == best][:_SUGGESTED] if best else []


def _weight(question: Question, word: str) -> int:
    """Return how much a word says for a question: most in its name, then in its words, then elsewhere."""
    texts = (question.reckoning, " ".join(question.also), question.words, question.name)
    return sum(weight for weight, text in enumerate(texts, start=1) if _has_word(text, word))


def _has_word(text: str, word: str) -> bool:
    known = _slug(text).split("-")
    return any(one.startswith(word) or (len(one) >= _STEM and word.startswith(one)) for one in known)


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
        return mart.query(*query_of(mart, chosen, chosen.limit if limit is None else limit, only or {}))


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

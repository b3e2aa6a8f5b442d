"""The verdict on each show of the catalogue: keep, watch, could go, or weigh up, and why.

The first rule that holds decides. ``docs/definitions.md`` has them in words.

    keep      viewers who watch nothing else: at least ``SOLE_VIEWERS``, and ``SOLE_SHARE`` of all active viewers
    keep      the last show of as many viewers, once those that cost less are gone
    keep      the later of two shows that have the same viewers
    keep      a small but loyal audience
    keep      big in one country and low worldwide
    keep      many viewers who watch in several languages
    keep      among the shows that make up the first half of all hours, unless it ended and its hours fell
    watch     premiered in the last ``NEW_DAYS`` days of the period, or later: too new to judge
    weigh up  it ended, and its hours fell
    weigh up  it could go, but loyal viewers would lose it
    could go  removed in the order of least cost, it and those before it leave next to no viewer with nothing
    could go  if the order is unknown: too few viewers to show, or no viewer has only, or almost only, this show
    weigh up  past the limit of what leaves next to no viewer with nothing, and nothing speaks clearly for it
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from marquee.calendar import Span
from marquee.report.review.answers import Answered, Review
from marquee.report.review.audiences import loyal_shows, multilingual_shows, shows_at_home
from marquee.report.review.changes import show_trends
from marquee.report.review.readings import READINGS
from marquee.report.review.seasons import stopped
from marquee.report.review.sets import CHEAP_PERCENT, Pair, Removal, going_text, limit, pairs, removals
from marquee.report.review.viewing import fallen_shows
from marquee.report.review.words import PERCENT, Name, Record, Sentence, number_of, sentence, several

Kind = Literal["keep", "watch", "could go", "weigh up"]

SOLE_VIEWERS = 10
SOLE_SHARE = 0.001
"""Viewers who watch nothing else, and their share of all active viewers, from which a show is kept."""
HOURS_SHARE = 0.5
"""Share of all hours that the most watched shows make up together."""
NEW_DAYS = 28
IN_WORDS = (
    "Left with nothing if removed in order: the further viewers with nothing to watch when the show goes after the "
    "shows that cost less; removal step: its number in that order. A show without a step costs at least as many as the "
    "last step, where the order ends. The first rule that holds decides the verdict. Keep a show that many "
    "viewers watch and nothing else, or have nothing beside it once the shows that cost less are gone; one of two with "
    "the same viewers; one with a small but loyal audience; one that is big in a country; one for multilingual "
    "viewers; and the shows that make up the first half of all hours, unless they ended and fell. Watch what is new. "
    f"Weigh up what ended and fell, and what loyal viewers would lose. What is within the limit, {CHEAP_PERCENT:g} % "
    "of viewers left with nothing by all steps so far, could go. Weigh up what is past the limit."
)
"""The rules for readers of the page."""


@dataclass(frozen=True)
class Verdict:
    """A verdict on a show, and the reason."""

    kind: Kind
    because: Sentence


@dataclass(frozen=True)
class Evidence:
    """What the answers say about shows, by title, and about the catalogue."""

    active_viewers: int
    since: date
    most_watched: frozenset[str]
    loyal: frozenset[str]
    at_home: Mapping[str, Record]
    multilingual: Mapping[str, Record]
    removal: Mapping[str, Removal]
    trend: Mapping[str, str]
    limit: Record | None
    pairs: Mapping[str, Pair]
    fell: Mapping[str, Record]
    stops: Mapping[str, Sentence]

    @property
    def many(self) -> float:
        """Viewers who watch nothing else from which a show is kept."""
        return max(SOLE_VIEWERS, SOLE_SHARE * self.active_viewers)


def verdicts(review: Review) -> list[tuple[Record, Verdict]]:
    """Return every show of the catalogue with its verdict, in the order of the catalogue.

    Beside its columns, a show has ``removal_step`` and ``set_effect``, the further viewers left with nothing when it
    goes after the shows that cost less (None beyond the order of removal), and ``trend`` (None without enough weeks or
    viewers).
    """
    evidence = gather(review)
    return [(_with(show, evidence), verdict_of(show, evidence)) for show in review.shows]


def _with(show: Record, evidence: Evidence) -> Record:
    removal = evidence.removal.get(show["title"])
    return {
        **show,
        "removal_step": removal.step if removal else None,
        "set_effect": removal.more if removal else None,
        "trend": evidence.trend.get(show["title"]),
    }


def verdict_of(show: Record, evidence: Evidence) -> Verdict:
    """Return the verdict on a show: that of the first rule that holds."""
    return next(found for rule in RULES if (found := rule(show, evidence)))


def _sole(show: Record, evidence: Evidence) -> Verdict | None:
    sole = show["sole_viewers"] or 0
    if sole < evidence.many:
        return None
    viewers = several(sole, "viewer watches", "viewers watch")
    return Verdict("keep", sentence("{viewers} nothing else", viewers=viewers))


def _last(show: Record, evidence: Evidence) -> Verdict | None:
    removal = evidence.removal.get(show["title"])
    if removal is None or removal.more < evidence.many:
        return None
    viewers = several(removal.more, "viewer has", "viewers have")
    text = sentence("{viewers} only this once the shows that cost less are gone", viewers=viewers)
    pair = evidence.pairs.get(show["title"])
    return Verdict("keep", text + _also(pair) if pair else text)


def _beyond(show: Record, evidence: Evidence) -> Verdict | None:
    """Keep a show that the order of removal does not reach: it costs at least as many as the last show of the order."""
    last = next(reversed([*evidence.removal.values()]), None)
    if last is None or last.cheap or show["title"] in evidence.removal or last.more < evidence.many:
        return None
    viewers = several(last.more, "viewer", "viewers")
    return Verdict(
        "keep", sentence("at least {viewers} have only this once the shows that cost less are gone", viewers=viewers)
    )


def _pair(show: Record, evidence: Evidence) -> Verdict | None:
    """Keep the later of two shows with the same viewers, unless it is within the limit: they watch others, too."""
    pair = evidence.pairs.get(show["title"])
    other, own = (evidence.removal.get(one) for one in (pair.other if pair else "", show["title"]))
    if pair is None or other is None or (own and (own.cheap or own.step < other.step)) or pair.viewers < evidence.many:
        return None
    return Verdict(
        "keep",
        sentence(
            "its {viewers} are those of {other}, which costs less: they lose both if this goes, too",
            viewers=several(pair.viewers, "viewer", "viewers"),
            other=Name(pair.other),
        ),
    )


def _also(pair: Pair) -> Sentence:
    return sentence("; {other} has the same viewers", other=Name(pair.other))


def _loyal(show: Record, evidence: Evidence) -> Verdict | None:
    return Verdict("keep", ("its audience is small but loyal",)) if show["title"] in evidence.loyal else None


def _at_home(show: Record, evidence: Evidence) -> Verdict | None:
    home = evidence.at_home.get(show["title"])
    if home is None:
        return None
    country = Name(str(home["country_name"] or home["country"]))
    return Verdict(
        "keep", sentence("it is at place {place} in {country}", place=home["country_place"], country=country)
    )


def _multilingual(show: Record, evidence: Evidence) -> Verdict | None:
    found = evidence.multilingual.get(show["title"])
    if found is None:
        return None
    share = number_of(found["share_percent"], PERCENT)
    return Verdict("keep", sentence("{share} of its viewers watch in several languages", share=share))


def _most_watched(show: Record, evidence: Evidence) -> Verdict | None:
    if show["title"] not in evidence.most_watched or show["title"] in evidence.fell:
        return None
    text = sentence("it is at place {place} by hours", place=show["place"])
    stops = evidence.stops.get(show["title"])
    return Verdict("keep", text + sentence("; but {stops}", stops=stops) if stops else text)


def _fallen(show: Record, evidence: Evidence) -> Verdict | None:
    row = evidence.fell.get(show["title"])
    removal = evidence.removal.get(show["title"])
    if row is None or (removal and removal.cheap):
        return None
    text = "it ended on {day}, and kept {share} of the hours to expect; many of its hours may be from before"
    share = number_of(row["after_percent"], PERCENT)
    return Verdict("weigh up", sentence(text, day=str(row["ended"]), share=share))


def _loyal_viewers(show: Record, evidence: Evidence) -> Verdict | None:
    """Weigh up a show within the limit that loyal viewers would lose: nothing to watch is not the only cost."""
    removal = evidence.removal.get(show["title"])
    loyal = show["loyal_viewers"] or 0
    if removal is None or not removal.cheap or loyal < evidence.many:
        return None
    text = sentence(
        "{loyal} of its {reach} viewers are loyal to it, though {removal}",
        loyal=loyal,
        reach=show["reach"],
        removal=_leaves(removal),
    )
    pair = evidence.pairs.get(show["title"])
    return Verdict("weigh up", text + _also(pair) if pair else text)


def _leaves(removal: Removal) -> Sentence:
    viewers = several(removal.more, "more viewer", "more viewers") if removal.more else ("nobody",)
    return sentence("it leaves {viewers} with nothing", viewers=viewers)


def _new(show: Record, evidence: Evidence) -> Verdict | None:
    if not show["premiered"] or show["premiered"] < evidence.since:
        return None
    return Verdict("watch", sentence("it is new: it premiered on {day}", day=str(show["premiered"])))


def _unneeded(show: Record, evidence: Evidence) -> Verdict | None:
    removal = evidence.removal.get(show["title"])
    if removal and removal.cheap:
        text = sentence(
            "it is number {step} in the order of removal, and {leaves}", step=removal.step, leaves=_leaves(removal)
        )
        pair = evidence.pairs.get(show["title"])
        return Verdict("could go", text + _also(pair) if pair else text)
    if evidence.removal:
        return None
    if not show["reach"]:
        return Verdict("could go", ("it has too few viewers to show",))
    if show["sole_viewers"] or show["near_sole_viewers"]:
        return None
    return Verdict("could go", ("nobody watches only this",))


def _undecided(show: Record, evidence: Evidence) -> Verdict:
    if evidence.removal:
        return Verdict("weigh up", _past(show, evidence))
    viewers = several(show["near_sole_viewers"] or 0, "viewer watches", "viewers watch")
    return Verdict("weigh up", sentence("{viewers} only or nearly only this", viewers=viewers))


def _past(show: Record, evidence: Evidence) -> Sentence:
    """Say where a show is in the order of removal: past the limit, or beyond an order that ends before the limit."""
    last, removal = evidence.limit, evidence.removal.get(show["title"])
    steps = len(evidence.removal)
    if removal is None and last and last["step"] == steps:
        return sentence("the order of removal ends at step {steps}, before it and before the limit", steps=steps)
    if removal is None:
        least = next(reversed([*evidence.removal.values()])).more
        text = sentence(
            "it costs {least} or more, as it is after all {steps} steps of removal",
            steps=steps,
            least=several(least, "viewer", "viewers"),
        )
    else:
        text = sentence("it is step {step} of removal", step=removal.step)
    where = sentence("which is at step {step}", step=last["step"]) if last else ("which the first step exceeds",)
    share = number_of(CHEAP_PERCENT, PERCENT)
    return text + sentence(
        ", past the limit of {share} of viewers left with nothing, {where}", share=share, where=where
    )


RULES: tuple[Callable[[Record, Evidence], Verdict | None], ...] = (
    *(_sole, _last, _pair, _loyal, _at_home, _multilingual, _most_watched, _new),
    *(_fallen, _beyond, _loyal_viewers, _unneeded, _undecided),
)
"""The rules in order; the last one always holds."""


def gather(review: Review) -> Evidence:
    """Gather what the answers say about shows."""
    return Evidence(
        review.base.active_viewers or 0,
        _end_of(review.period) - timedelta(days=NEW_DAYS),
        _half_of_hours(review.shows),
        frozenset(row["title"] for row in _found(review, "small-but-loyal", loyal_shows)),
        {row["title"]: row for row in reversed(_found(review, "big-in-one-country", shows_at_home))},
        {row["title"]: row for row in _found(review, "multilingual", multilingual_shows)},
        removals(review.answers["removal-order"]) if _found(review, "removal-order", lambda one: one.rows) else {},
        {row["title"]: row["trend"] for row in _found(review, "trend", show_trends)},
        limit(review.answers["removal-order"]) if _found(review, "removal-order", lambda one: one.rows) else None,
        pairs(review.answers["overlap"]) if _found(review, "overlap", lambda one: one.rows) else {},
        {row["title"]: row for row in _found(review, "after-the-end", fallen_shows)},
        stopped(review.answers["where-they-stop"]) if _found(review, "where-they-stop", lambda one: one.rows) else {},
    )


def going(review: Review, judged: Sequence[tuple[Record, Verdict]]) -> Sentence:
    """Say which shows could go together, by their verdicts; empty if none could, or the order is not known."""
    answer = review.answers.get("removal-order")
    if answer is None or not _found(review, "removal-order", lambda one: one.rows):
        return ()
    order = removals(answer)
    within = [(show, one) for show, one in judged if show["title"] in order and order[show["title"]].cheap]
    within.sort(key=lambda one: order[one[0]["title"]].step)
    those = [show for show, one in within if one.kind == "could go"]
    kept = [show for show, one in within if one.kind != "could go"]
    return going_text(answer, those, kept, review.base.hours)


def _found(review: Review, question: str, rows: Callable[[Answered], Sequence[Record]]) -> Sequence[Record]:
    """Return rows of an answer, none if the mart does not answer the question, or in other columns."""
    answer = review.answers.get(question)
    return rows(answer) if answer and set(READINGS[question].needs) <= set(answer.columns) else ()


def _half_of_hours(shows: Sequence[Record]) -> frozenset[str]:
    every, so_far, most = sum(show["hours"] or 0 for show in shows), 0.0, set()
    for show in sorted(shows, key=lambda one: one["place"]):
        if so_far >= HOURS_SHARE * every:
            break
        so_far += show["hours"] or 0
        most.add(show["title"])
    return frozenset(most)


def _end_of(period: str) -> date:
    end = Span.parse(period).end
    if end is None:  # Span.parse sets it
        raise AssertionError(period)
    return end.date()

"""How the answer to each question is read. A question without an entry in ``READINGS`` is read in a general way.

The columns of the questions are known in ``viewing``, ``audiences``, ``sets``, ``seasons`` and ``changes``, and nowhere
else in the review; ``needs`` of a reading lists them.
"""

from collections.abc import Mapping, Sequence

from marquee.report.review import audiences, changes, seasons, sets, viewing
from marquee.report.review.answers import Answered
from marquee.report.review.reading import GENERAL, NOTHING, Finding, Reading
from marquee.report.review.words import Sentence

FIRST = ("must-not-cancel", "removal-order", "trend")
"""Questions whose findings come before all others."""

READINGS: Mapping[str, Reading] = {
    "genre-hours": viewing.GENRE_HOURS,
    "genre-daypart": viewing.GENRE_DAYPART,
    "after-the-end": viewing.AFTER_THE_END,
    "multilingual": audiences.MULTILINGUAL,
    "small-but-loyal": audiences.SMALL_BUT_LOYAL,
    "binge": audiences.BINGE,
    "must-not-cancel": audiences.MUST_NOT_CANCEL,
    "big-in-one-country": audiences.BIG_IN_ONE_COUNTRY,
    "top-shows": audiences.TOP_SHOWS,
    "engagement-by-show": audiences.BY_SHOW,
    "engagement-by-genre": audiences.BY_GENRE,
    "engagement-by-network": audiences.BY_NETWORK,
    "engagement-by-country": audiences.BY_COUNTRY,
    "removal-order": sets.REMOVAL_ORDER,
    "keep-order": sets.KEEP_ORDER,
    "overlap": sets.OVERLAP,
    "trend": changes.TREND,
    "trend-by-week": changes.TREND_BY_WEEK,
    "nobody-watches": changes.NOBODY_WATCHES,
    "lost-viewers": changes.LOST_VIEWERS,
    "where-they-stop": seasons.WHERE_THEY_STOP,
    "season-steps": seasons.SEASON_STEPS,
    "launch": seasons.LAUNCH,
}
"""How each question is read."""


def reading_of(answer: Answered) -> Reading:
    """Return how an answer is read: in the general way if the question has no reading, or lacks a column of it."""
    found = READINGS.get(answer.question.name)
    return found if found and set(found.needs) <= set(answer.columns) else GENERAL


def picture_of(answer: Answered) -> str:
    """Return the picture of an answer; empty if there is nothing to draw."""
    return reading_of(answer).picture(answer) if answer.rows else ""


def answer_of(answer: Answered) -> Sentence:
    """Return the answer in a sentence."""
    return reading_of(answer).answer(answer) if answer.rows else NOTHING


def findings_of(answers: Sequence[Answered]) -> list[Finding]:
    """Return what the answers say about decisions, the weightiest questions first."""
    found = [found for one in answers if one.rows for found in reading_of(one).findings(one)]
    return sorted(found, key=lambda one: FIRST.index(one.question) if one.question in FIRST else len(FIRST))

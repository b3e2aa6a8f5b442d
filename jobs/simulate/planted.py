"""The answers planted in the made-up service, for people and tests to check against what the pipeline finds.

``SHOWS`` are the shows whose audience is arranged, and how; ``ANSWERS`` says, for each question that is asked of the
service, what its answer is. Everything else about the service is drawn at random.
"""

from dataclasses import dataclass
from typing import Literal

Rhythm = Literal["daily", "weekdays", "twice a week", "weekly", "at once"]
"""How often a show airs; ``at once``: all its episodes on one day before the window."""


@dataclass(frozen=True)
class Audience:
    """How a planted show is watched: by whom, on how many days, how much of it at a time."""

    share: float
    """Share of all viewers, or of those in ``countries``."""
    days_a_week: int
    """Days of any seven on which each of them watches it; on each day about the same number of them do."""
    countries: tuple[str, ...] = ()
    """Only viewers who live here; empty: everywhere."""
    multilingual: bool = False
    """Only viewers who watch in two languages."""
    nothing_else: bool = False
    """Viewers who watch no other show."""
    sitting: int = 1
    """Episodes watched one after another, whole."""
    newest: bool = False
    """They watch the newest episode; otherwise any that has aired."""
    after_end: float = 1.0
    """Share of the audience that stays once the show has ended."""


@dataclass(frozen=True)
class PlantedShow:
    """A show whose audience is arranged."""

    show_id: int
    name: str
    slug: str
    language: str
    genres: tuple[str, ...]
    country: str
    rhythm: Rhythm
    minutes: int
    audience: Audience
    airtime: str = ""
    """On a network of its country at this hour; empty: on a global web channel."""
    ends: bool = False
    """Has its last episode in the middle of the window, and is Ended from that day on."""


@dataclass(frozen=True)
class Answer:
    """What is true of the made-up service: a question that Marquee answers, and shows (id, name) that stand out."""

    question: str
    claim: str
    shows: tuple[tuple[int, str], ...] = ()
    country: str | None = None
    genre: str | None = None


LOST = PlantedShow(
    70011, "The Last Tramline", "the-last-tramline", "English", ("Drama",), "US", "daily", 40,
    Audience(0.03, days_a_week=4, after_end=0.12), airtime="21:00", ends=True,
)  # fmt: skip
KEPT = PlantedShow(
    70022, "Lanterns of Aldermoor", "lanterns-of-aldermoor", "English", ("Drama", "Fantasy"), "GB", "daily", 40,
    Audience(0.03, days_a_week=4), ends=True,
)  # fmt: skip
JAPAN = PlantedShow(
    70033, "夜汽車の手紙", "yogisha-no-tegami", "Japanese", ("Anime", "Fantasy"), "JP", "twice a week", 24,
    Audience(0.45, days_a_week=4, countries=("JP",)), airtime="00:25",
)  # fmt: skip
LOYAL = PlantedShow(
    70044, "The Beekeepers of Orrin", "the-beekeepers-of-orrin", "English", ("Family", "Nature"), "GB", "daily", 30,
    Audience(0.012, days_a_week=7, newest=True),
)  # fmt: skip
ONLY = PlantedShow(
    70055, "Дом у реки", "dom-u-reki", "Russian", ("Drama",), "RU", "at once", 42,  # noqa: RUF001 - Cyrillic
    Audience(0.025, days_a_week=5, nothing_else=True),
)  # fmt: skip
# These two have as many viewers and hours: how many episodes are watched in a sitting tells them apart.
BINGED = PlantedShow(
    70066, "Glass Meridian", "glass-meridian", "English", ("Science-Fiction", "Thriller"), "US", "at once", 45,
    Audience(0.03, days_a_week=1, sitting=5),
)  # fmt: skip
PACED = PlantedShow(
    70077, "Seven Cups of Tea", "seven-cups-of-tea", "English", ("Drama", "Food"), "GB", "daily", 45,
    Audience(0.03, days_a_week=5, newest=True), airtime="20:00",
)  # fmt: skip
MULTILINGUAL = PlantedShow(
    70088, "Passport Kitchen", "passport-kitchen", "French", ("Food", "Travel"), "FR", "weekdays", 40,
    Audience(0.022, days_a_week=4, multilingual=True),
)  # fmt: skip

SHOWS = (LOST, KEPT, JAPAN, LOYAL, ONLY, BINGED, PACED, MULTILINGUAL)

KOREA_GENRE = "Romance"
"""Viewers in Korea prefer every show of this genre."""
CRIME_GENRE = "Crime"
"""Its shows are watched in the evening in ``CRIME_EVENING``, in the morning elsewhere; by the viewer's own clock."""
CRIME_EVENING = "US"


def _shows(*shows: PlantedShow) -> tuple[tuple[int, str], ...]:
    return tuple((show.show_id, show.name) for show in shows)


ANSWERS = (
    Answer("genre-hours", "Romance leads in Korea, and in no other country.", country="KR", genre=KOREA_GENRE),
    Answer(
        "genre-daypart", "Americans watch crime in the evening, others in the morning.", country="US", genre=CRIME_GENRE
    ),
    Answer(
        "after-the-end",
        f"{LOST.name} lost most of its audience when it ended, {KEPT.name} kept it.",
        _shows(LOST, KEPT),
    ),
    Answer("multilingual", "Nearly all its viewers watch in two languages, few others do.", _shows(MULTILINGUAL)),
    Answer("small-but-loyal", "Few watch it, and they watch nearly all of it.", _shows(LOYAL)),
    Answer(
        "binge",
        f"{BINGED.name} is watched five episodes at a time, {PACED.name} as much, one a day.",
        _shows(BINGED, PACED),
    ),
    Answer("must-not-cancel", "Its viewers watch nothing else.", _shows(ONLY)),
    Answer("big-in-one-country", "First in Japan, in the middle of the list worldwide.", _shows(JAPAN), country="JP"),
)

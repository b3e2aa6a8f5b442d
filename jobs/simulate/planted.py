"""The answers planted in the simulated service, to compare with the pipeline's answers.

``SHOWS`` lists the shows with a planted audience. ``ANSWERS`` gives the planted answer to each question. Everything
else in the service is random.
"""

from dataclasses import dataclass
from typing import Literal

Rhythm = Literal["daily", "weekdays", "twice a week", "weekly", "at once"]
"""How often a show airs. ``at once`` means all episodes on one day before the window."""


@dataclass(frozen=True)
class Audience:
    """Audience of a planted show: who watches it, on how many days, and how much at a time."""

    share: float
    """Share of all viewers, or of those in ``countries``."""
    days_a_week: int
    """Days of any seven on which each viewer watches it; about the same number of viewers watch on each day."""
    countries: tuple[str, ...] = ()
    """Countries of the viewers; empty for all countries."""
    multilingual: bool = False
    """Whether only viewers who watch in two languages belong to it."""
    nothing_else: bool = False
    """Whether the viewers watch no other show."""
    sitting: int = 1
    """Number of whole episodes watched in a row."""
    newest: bool = False
    """Whether viewers watch the newest episode; otherwise any episode that has aired."""
    after_end: float = 1.0
    """Share of the audience that stays once the show has ended."""


@dataclass(frozen=True)
class PlantedShow:
    """A show with a planted audience."""

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
    """Time on a network of its country; empty for a show on a global web channel."""
    ends: bool = False
    """Whether the last episode airs in the middle of the window; the show has the status Ended from that day on."""


@dataclass(frozen=True)
class Answer:
    """A planted answer: the question, the claim, and the shows (id, name), country or genre that stand out."""

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
# These two have about the same viewers and hours. They differ in the number of episodes in a sitting.
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
"""Viewers in ``CRIME_EVENING`` watch its shows in the evening, all others in the morning, in local time."""
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

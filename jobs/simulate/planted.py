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
    """Share of all viewers, or of those in ``countries``; 0 for nobody."""
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
    then: tuple[float, int] = (1.0, 0)
    """From the middle of the window on: the share of the audience that still watches, and its days a week, if not 0."""
    viewers_of: int = 0
    """Id of a planted show before this one, whose viewers these are; 0 for viewers of its own."""
    leave_after: int = 0
    """If not 0, all begin with the first episode on the first day and watch a sitting a day in order, as long as there
    are episodes; after this many episodes, the share ``leave`` stops."""
    leave: float = 0.0
    """Share of the audience that stops."""


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
    premieres: bool = False
    """Whether it begins on the second day of the window, which is the day of its premiere."""
    ends: bool = False
    """Whether the last episode airs in the middle of the window; the show has the status Ended from that day on."""
    days: int = 1
    """Least number of days in the window; in a shorter one, the show is like a random one."""


@dataclass(frozen=True)
class Answer:
    """A planted answer: the question, the claim, and the shows (id, name), country or genre that stand out."""

    question: str
    claim: str
    shows: tuple[tuple[int, str], ...] = ()
    country: str | None = None
    genre: str | None = None
    days: int = 1
    """Least number of days in the window for the answer to be there."""


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
FEWER = PlantedShow(
    70110, "Harbour Lights", "harbour-lights", "English", ("Drama",), "US", "at once", 40,
    Audience(0.03, days_a_week=2, then=(0.5, 6)),
)  # fmt: skip
UNWATCHED = PlantedShow(
    70121, "An Empty Stage", "an-empty-stage", "English", ("Music",), "GB", "weekly", 50,
    Audience(0.0, days_a_week=0),
)  # fmt: skip
# Its viewers are like those of ONLY, but they leave when it ends.
LEFT = PlantedShow(
    70132, "The Last Lighthouse Keeper", "the-last-lighthouse-keeper", "English", ("Drama",), "GB", "at once", 42,
    Audience(0.04, days_a_week=5, nothing_else=True, after_end=0.0), ends=True, days=63,
)  # fmt: skip
STOPPED = PlantedShow(
    70099, "The Fourth Door", "the-fourth-door", "English", ("Drama", "Mystery"), "US", "at once", 40,
    Audience(0.025, days_a_week=7, sitting=2, leave_after=4, leave=0.7),
)  # fmt: skip
# These two have about the same viewers. Most of the first watch it on the day of its premiere, of the second fewer.
STARTED = PlantedShow(
    70208, "A Sky Full of Kites", "a-sky-full-of-kites", "English", ("Adventure", "Family"), "GB", "daily", 30,
    Audience(0.025, days_a_week=7, newest=True), premieres=True,
)  # fmt: skip
GREW = PlantedShow(
    70219, "The Slow Orchard", "the-slow-orchard", "English", ("Adventure", "Family"), "GB", "daily", 30,
    Audience(0.025, days_a_week=2, newest=True), premieres=True,
)  # fmt: skip

# These two have the same viewers, who watch nothing else: neither alone loses one of them, both together lose all.
PAIR = (
    PlantedShow(
        70187, "The Ferry Sisters", "the-ferry-sisters", "English", ("Comedy",), "GB", "at once", 25,
        Audience(0.008, days_a_week=4, nothing_else=True),
    ),
    PlantedShow(
        70198, "Ferry Road", "ferry-road", "English", ("Drama",), "GB", "at once", 40,
        Audience(0.008, days_a_week=4, nothing_else=True, viewers_of=70187),
    ),
)  # fmt: skip

SHOWS = (
    LOST, KEPT, JAPAN, LOYAL, ONLY, BINGED, PACED, MULTILINGUAL, FEWER, UNWATCHED, LEFT, *PAIR, STOPPED, STARTED, GREW,
)  # fmt: skip

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
    Answer("multilingual", "Nearly all its viewers watch in two languages, more than elsewhere.", _shows(MULTILINGUAL)),
    Answer("small-but-loyal", "Few watch it, and they watch nearly all of it, day after day.", _shows(LOYAL)),
    Answer(
        "binge",
        f"{BINGED.name} is watched five episodes at a time, {PACED.name} as much, one a day.",
        _shows(BINGED, PACED),
    ),
    Answer("must-not-cancel", "Its viewers watch nothing else.", _shows(ONLY)),
    Answer(
        "trend",
        "In the last four weeks, half of its viewers watch on three times as many days: hours up, reach down.",
        _shows(FEWER),
        days=56,
    ),
    Answer(
        "lost-viewers",
        "Its viewers watched nothing else, and none was seen again after it ended.",
        _shows(LEFT),
        days=63,
    ),
    Answer("nobody-watches", "Nobody watches it.", _shows(UNWATCHED)),
    Answer("removal-order", f"{PAIR[0].name} goes without a loss; {PAIR[1].name} after it would lose all its viewers."),
    Answer("overlap", f"All viewers of {PAIR[0].name} watch {PAIR[1].name}, too, and nothing else.", _shows(*PAIR)),
    Answer(
        "where-they-stop", "Seven of ten of its viewers stop after the fourth episode, and few others.", _shows(STOPPED)
    ),
    Answer(
        "launch",
        f"{STARTED.name} has most of its viewers of three days on the first, {GREW.name} gains most of them after it.",
        _shows(STARTED, GREW),
    ),
    Answer("big-in-one-country", "First in Japan, in the middle of the list worldwide.", _shows(JAPAN), country="JP"),
)

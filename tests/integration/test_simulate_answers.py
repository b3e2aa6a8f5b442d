"""The planted answers are in the play events: plain Python finds them in generated lines and the served schedule."""

import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from statistics import median, quantiles
from typing import Any

import pytest

from jobs.simulate.catalogue import build_world
from jobs.simulate.countries import SCHEDULE_COUNTRIES
from jobs.simulate.planted import ANSWERS, BINGED, JAPAN, KEPT, LOST, LOYAL, MULTILINGUAL, ONLY, PACED, SHOWS
from jobs.simulate.schedule import Schedule
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import simulate
from marquee.storage.local import LocalStore

SETTINGS = SimulateSettings(events_per_day=20_000)
ENDED = date(2026, 1, 8)
REACHED_S = 120


LINE = re.compile(
    rb'\{"event_id":"(?P<id>[0-9a-f-]{36})","received_at":"(?P<received_at>[0-9T:.-]{23})Z","event":\{"user_id":"(?P<user>u\d{7})",'
    rb'"episode_id":(?P<episode>\d{7}),"country":"(?P<country>[A-Z]{2})","utc_offset_minutes":(?P<offset>-?[1-6]?\d{1,2}),'
    rb'"language":"(?P<language>[a-z]{2}[A-Za-z0-9-]*)","device":"[a-z]+","watched_seconds":(?P<seconds>\d{1,2})\}\}'
)


@dataclass(frozen=True)
class Play:
    """One event of about a minute."""

    received_at: datetime
    user: str
    episode: int
    country: str
    offset: int
    language: str
    seconds: int


@dataclass(frozen=True)
class Week:
    """A week of events, with show and runtime in seconds of each episode in the schedule."""

    events: list[Play]
    episodes: dict[int, tuple[dict[str, Any], int]]

    def watched(self) -> Iterator[tuple[Play, dict[str, Any]]]:
        """Yield each event of a listed episode with its show."""
        for event in self.events:
            if event.episode in self.episodes:
                yield event, self.episodes[event.episode][0]

    @cached_property
    def shows(self) -> dict[str, Counter[int]]:
        """Seconds by viewer and show."""
        seconds: dict[str, Counter[int]] = defaultdict(Counter)
        for event, show in self.watched():
            seconds[event.user][show["id"]] += event.seconds
        return seconds

    def reach(self, country: str | None = None) -> Counter[int]:
        """Return the number of viewers of at least two minutes by show, in total or in a country."""
        home = {event.user: event.country for event in self.events}
        return Counter(
            show
            for user, shows in self.shows.items()
            for show, seconds in shows.items()
            if seconds >= REACHED_S and country in {None, home[user]}
        )


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Week:
    """A week of a small service, without duplicates and malformed lines."""
    store = LocalStore(tmp_path_factory.mktemp("raw"))
    simulate(SETTINGS, store)
    lines = [line for info in store.list("topics/") for line in gzip.decompress(store.get(info.key)).splitlines()]
    matches = {match["id"]: match for match in map(LINE.fullmatch, lines) if match}
    return Week([_play(match) for match in matches.values()], _episodes())


def _play(match: re.Match[bytes]) -> Play:
    return Play(
        datetime.fromisoformat(match["received_at"].decode()),
        match["user"].decode(),
        int(match["episode"]),
        match["country"].decode(),
        int(match["offset"]),
        match["language"].decode(),
        int(match["seconds"]),
    )


def _episodes() -> dict[int, tuple[dict[str, Any], int]]:
    schedule = Schedule(build_world(SETTINGS))
    days = [SETTINGS.schedule_from + timedelta(days=n) for n in range(35)]
    served = [row | row["_embedded"] for day in days for row in schedule.of_web(day)]
    served += [row for day in days for country in SCHEDULE_COUNTRIES for row in schedule.of_country(country, day)]
    runtimes = {row["show"]["id"]: row["runtime"] for row in served if row["runtime"]}
    return {row["id"]: (row["show"], 60 * runtimes.get(row["show"]["id"], 0)) for row in served}


def test_romance_leads_in_korea_and_nowhere_else(week: Week) -> None:
    """Romance is the first genre by hours in Korea and in no other country."""
    hours: dict[str, Counter[str]] = defaultdict(Counter)
    for event, show in week.watched():
        for genre in show["genres"]:
            hours[event.country][genre] += event.seconds
    first = {country: genres.most_common(1)[0][0] for country, genres in hours.items()}
    assert [country for country, genre in first.items() if genre == "Romance"] == ["KR"]


def test_americans_watch_crime_in_the_evening_and_others_in_the_morning(week: Week) -> None:
    """In the viewers' local time, at least 80 % of crime is watched from 18 to 23 in the US, from 6 to 11 elsewhere."""
    hours: dict[bool, Counter[int]] = {True: Counter(), False: Counter()}
    for event, show in week.watched():
        if "Crime" in show["genres"]:
            local = event.received_at + timedelta(minutes=event.offset)
            hours[event.country == "US"][local.hour] += event.seconds
    assert sum(hours[True][hour] for hour in range(18, 23)) > 0.8 * hours[True].total()
    assert sum(hours[False][hour] for hour in range(6, 11)) > 0.8 * hours[False].total()


def test_americans_live_in_several_time_zones(week: Week) -> None:
    """In winter, US viewers are five to ten hours behind UTC, with four zones on the mainland."""
    offsets = {event.offset for event in week.events if event.country == "US"}
    assert offsets == {-300, -360, -420, -480, -600}


def test_one_show_lost_its_audience_when_it_ended_and_one_kept_it(week: Week) -> None:
    """Relative to all viewing, one show's daily hours fall below two fifths after its end, and another's stay."""
    daily: dict[int | str, Counter[bool]] = defaultdict(Counter)
    for event, show in week.watched():
        after = event.received_at.date() > ENDED
        for name in (show["id"], "all"):
            daily[name][after] += event.seconds
    # Four days before and three after; the lengths cancel out in the ratio to everything.
    change = {name: counts[True] / counts[False] for name, counts in daily.items() if counts[False]}
    assert change[LOST.show_id] / change["all"] < 0.4
    assert 0.8 < change[KEPT.show_id] / change["all"] < 1.2


def test_the_show_of_multilingual_viewers_has_the_highest_index(week: Week) -> None:
    """The planted show has the highest share of multilingual viewers among shows with ten viewers or more."""
    languages: dict[str, Counter[str]] = defaultdict(Counter)
    for event in week.events:
        languages[event.user][event.language] += event.seconds
    multilingual = {
        user
        for user, spoken in languages.items()
        if sum(one >= max(1800, spoken.total() / 10) for one in spoken.values()) >= 2
    }
    viewers: dict[int, list[str]] = defaultdict(list)
    for user, shows in week.shows.items():
        for show, seconds in shows.items():
            viewers[show] += [user] if seconds >= REACHED_S else []
    share = {
        show: sum(user in multilingual for user in users) / len(users)
        for show, users in viewers.items()
        if len(users) >= 10
    }
    assert max(share, key=share.__getitem__) == MULTILINGUAL.show_id
    assert share[MULTILINGUAL.show_id] > 0.75
    assert len(multilingual) < 0.15 * len(languages)


def test_the_small_audience_is_loyal(week: Week) -> None:
    """The planted show reaches fewer viewers than the median, and they watch far more of it than the upper quartile."""
    seconds: Counter[int] = Counter()
    seen: dict[int, set[int]] = defaultdict(set)
    for event, show in week.watched():
        seconds[show["id"]] += event.seconds
        seen[show["id"]].add(event.episode)
    reach = week.reach()
    length = {show: sum(week.episodes[episode][1] for episode in episodes) for show, episodes in seen.items()}
    loyalty = {show: seconds[show] / reach[show] / length[show] for show in reach if length[show]}
    assert reach[LOYAL.show_id] < median(reach.values())
    assert loyalty[LOYAL.show_id] > 0.7
    assert quantiles(loyalty.values(), n=4)[2] < 0.35


def test_the_binged_show_is_watched_in_sittings_and_its_twin_one_a_day(week: Week) -> None:
    """Two shows have equal hours and viewers, and only viewers of one watch three episodes in a sitting."""
    seconds: Counter[int] = Counter()
    for event, show in week.watched():
        seconds[show["id"]] += event.seconds
    reach = week.reach()
    assert seconds[BINGED.show_id] / seconds[PACED.show_id] == pytest.approx(1, abs=0.15)
    assert reach[BINGED.show_id] / reach[PACED.show_id] == pytest.approx(1, abs=0.15)
    assert _binge_viewers(week, BINGED.show_id) > 0.8 * reach[BINGED.show_id]
    assert _binge_viewers(week, PACED.show_id) == 0


def _binge_viewers(week: Week, show_id: int) -> int:
    """Count viewers with at least three episodes, 70 % of each, in a sitting: no gap of 30 minutes between events."""
    by_viewer: dict[str, list[Play]] = defaultdict(list)
    for event in sorted(week.events, key=lambda event: event.received_at):
        by_viewer[event.user].append(event)
    found = 0
    for events in by_viewer.values():
        sittings: list[Counter[int]] = []
        last: datetime | None = None
        for event in events:
            if last is None or event.received_at - timedelta(seconds=event.seconds) - last >= timedelta(minutes=30):
                sittings.append(Counter())
            sittings[-1][event.episode] += event.seconds
            last = event.received_at
        found += any(_whole_episodes(week, show_id, sitting) >= 3 for sitting in sittings)
    return found


def _whole_episodes(week: Week, show_id: int, sitting: Counter[int]) -> int:
    known = [(week.episodes[episode], seconds) for episode, seconds in sitting.items() if episode in week.episodes]
    return sum(show["id"] == show_id and seconds >= 0.7 * runtime for (show, runtime), seconds in known)


def test_the_show_that_must_not_be_cancelled_is_all_that_its_viewers_watch(week: Week) -> None:
    """Nearly all viewers of the planted show watch nothing else, at least four times as many as of any other."""
    only: Counter[int] = Counter()
    for shows in week.shows.values():
        if len(shows) == 1:
            only.update(show for show, seconds in shows.items() if seconds >= REACHED_S)
    (first, most), (_, second) = only.most_common(2)
    assert first == ONLY.show_id
    assert most > 0.9 * week.reach()[ONLY.show_id]
    assert second < most / 4


def test_the_show_that_leads_in_japan_is_far_down_worldwide(week: Week) -> None:
    """The planted show is first by reach in Japan and not among the first fifty worldwide."""
    in_japan = [show for show, _ in week.reach("JP").most_common()]
    worldwide = [show for show, _ in week.reach().most_common()]
    assert in_japan[0] == JAPAN.show_id
    assert JAPAN.show_id not in worldwide[:50]


def test_planted_shows_are_in_the_schedule_by_their_names() -> None:
    """The schedule serves every show that the list of planted answers names."""
    served = {show["id"]: show["name"] for show, _ in _episodes().values()}
    named = dict(pair for answer in ANSWERS for pair in answer.shows)
    assert named == {show.show_id: served[show.show_id] for show in SHOWS}

"""The planted answers are in the play events: plain Python finds them in generated lines and the served schedule."""

import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
import pytest

from jobs.simulate.catalogue import build_world
from jobs.simulate.countries import SCHEDULE_COUNTRIES
from jobs.simulate.planted import (
    ANSWERS,
    BINGED,
    FEWER,
    GREW,
    JAPAN,
    KEPT,
    LEFT,
    LOST,
    LOYAL,
    MULTILINGUAL,
    ONLY,
    PACED,
    PAIR,
    SHOWS,
    STARTED,
    STOPPED,
    UNWATCHED,
)
from jobs.simulate.plays import day_plays, join
from jobs.simulate.schedule import Schedule
from jobs.simulate.service import make_service
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import simulate
from marquee.mart.questions import ask
from marquee.storage.local import LocalStore
from tests.helpers_mart import SmallLake, kiosk_of, load
from tests.integration.test_departures import counted
from tests.oracle.departures import Watched, judge_departure
from tests.oracle.launches import launches
from tests.oracle.seasons import Episode, Rules, Seasons
from tests.oracle.seasons import Watched as Seen
from tests.oracle.trends import Row, find_trends

SETTINGS = SimulateSettings(events_per_day=20_000)
EVERYBODY = [{"country": "**", "active_viewers": 2000, "watched_seconds": 10**9}]
NINE_WEEKS = SimulateSettings(events_per_day=60_000, days=63)
EIGHT_WEEKS = SimulateSettings(events_per_day=60_000, days=56)
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
    """A week of events, with show, runtime in seconds and place in its season of each episode in the schedule."""

    events: list[Play]
    episodes: dict[int, tuple[dict[str, Any], int]]
    seasons: dict[int, Episode]

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
    return Week([_play(match) for match in matches.values()], _episodes(), _seasons())


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


def _served() -> list[dict[str, Any]]:
    schedule = Schedule(build_world(SETTINGS))
    days = [SETTINGS.schedule_from + timedelta(days=n) for n in range(35)]
    served = [row | row["_embedded"] for day in days for row in schedule.of_web(day)]
    return served + [row for day in days for country in SCHEDULE_COUNTRIES for row in schedule.of_country(country, day)]


def _episodes() -> dict[int, tuple[dict[str, Any], int]]:
    served = _served()
    runtimes = {row["show"]["id"]: row["runtime"] for row in served if row["runtime"]}
    return {row["id"]: (row["show"], 60 * runtimes.get(row["show"]["id"], 0)) for row in served}


def _seasons() -> dict[int, Episode]:
    runtimes = {episode: runtime or None for episode, (_, runtime) in _episodes().items()}
    return {
        row["id"]: Episode(
            row["show"]["id"], row["season"], row["number"], date.fromisoformat(row["airdate"]), runtimes[row["id"]]
        )
        for row in _served()
    }


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


def test_pair_of_shows_has_viewers_who_watch_nothing_else(week: Week) -> None:
    """All viewers of two planted shows watch both and no other show, so no single show has one of them alone."""
    one, other = (show.show_id for show in PAIR)
    viewers = {user for user, shows in week.shows.items() if one in shows}
    assert len(viewers) == 5  # 0.8 % of 667 viewers
    assert [set(shows) for user, shows in week.shows.items() if user in viewers] == [{one, other}] * 5
    assert viewers == {user for user, shows in week.shows.items() if other in shows}


def test_the_show_that_leads_in_japan_is_far_down_worldwide(week: Week) -> None:
    """The planted show is first by reach in Japan and not among the first fifty worldwide."""
    in_japan = [show for show, _ in week.reach("JP").most_common()]
    worldwide = [show for show, _ in week.reach().most_common()]
    assert in_japan[0] == JAPAN.show_id
    assert JAPAN.show_id not in worldwide[:50]


def test_nobody_watches_one_show(week: Week) -> None:
    """The planted show without an audience airs, and has no play; no other planted show is without."""
    watched = {show["id"] for _, show in week.watched()}
    aired = {show["id"] for show, _ in week.episodes.values()}
    assert {show.show_id for show in SHOWS} & (aired - watched) == {UNWATCHED.show_id}


def test_one_show_has_fewer_viewers_who_watch_more(lake: LocalStore, tmp_path: Path) -> None:
    """In eight weeks, the planted show is the only one with more hours and less reach, by oracle and view."""
    service = make_service(EIGHT_WEEKS)
    show_of = np.repeat(
        service.catalogue.show_ids, np.diff([*service.catalogue.first, len(service.catalogue.episode_ids)])
    )
    weeks: dict[date, list[Row]] = {}
    for first in (EIGHT_WEEKS.start + timedelta(weeks=n) for n in range(8)):
        seconds: Counter[tuple[int, int]] = Counter()
        for day in (first + timedelta(days=n) for n in range(7)):
            plays = join(day_plays(service, day))
            for viewer, show, watched in zip(plays.viewer, show_of[plays.episode], plays.seconds, strict=True):
                seconds[int(viewer), int(show)] += int(watched)
        hours: Counter[int] = Counter()
        for (_, show), watched in seconds.items():
            hours[show] += watched
        reach = Counter(show for (_, show), watched in seconds.items() if watched >= REACHED_S)
        weeks[first] = [
            {"show_id": show, "reach": reach[show], "watched_seconds": watched, "sole_viewers": 0}
            for show, watched in hours.items()
        ]
    found = {show: one["trend"] for show, one in find_trends(weeks, "show_id").items()}
    assert [show for show, trend in found.items() if trend == "hours up, reach down"] == [FEWER.show_id]
    small, kiosk = SmallLake(lake), tmp_path / "kiosk.duckdb"
    small.capture("2026-01-05", shows=[{"show_id": show, "name": str(show)} for show in found])
    for first, rows in weeks.items():
        small.audience(f"{first:%G-W%V}", [{"country": "**", **row} for row in rows], EVERYBODY, {"hours": 168})
    small.audience("2026-Q1", [], EVERYBODY)
    load(lake, kiosk, "2026-Q1")
    columns, answer = ask(kiosk_of(kiosk, "2026-Q1"), "trend", 0, {"kind": "show"})
    assert {row[columns.index("title")]: row[columns.index("trend")] for row in answer} == {
        str(show): trend for show, trend in found.items()
    }
    assert answer[0][columns.index("title")] == str(FEWER.show_id)


def test_sole_viewers_of_one_show_left_with_it() -> None:
    """In nine weeks, the sole viewers of the planted show leave with it; no other viewers of shows that ended do."""
    service = make_service(NINE_WEEKS)
    show_of = np.repeat(
        service.catalogue.show_ids, np.diff([*service.catalogue.first, len(service.catalogue.episode_ids)])
    )
    seconds: Counter[tuple[int, int, int]] = Counter()
    for number in range(NINE_WEEKS.days):
        plays = join(day_plays(service, NINE_WEEKS.start + timedelta(days=number)))
        for viewer, episode, watched in zip(plays.viewer, plays.episode, plays.seconds, strict=True):
            seconds[number, int(viewer), int(episode)] += int(watched)
    home = [service.viewers.countries[country] for country in service.viewers.country]
    rows = [Watched(*key, home[key[1]], watched) for key, watched in seconds.items()]
    shows = {show.show_id: NINE_WEEKS.days // 2 for show in SHOWS if show.ends}
    found = counted(rows, shows, dict(enumerate(show_of.tolist())))
    verdicts = {key: judge_departure(row) for key, row in found.items()}
    assert [key for key, verdict in verdicts.items() if verdict == "more of them left"] == [(LEFT.show_id, "sole")]
    assert found[LEFT.show_id, "sole"]["seen_again"] == 0
    assert verdicts[LEFT.show_id, "other"] == "as viewers alike"


def test_viewers_stop_after_the_fourth_episode_of_one_show(week: Week) -> None:
    """Of the planted show's viewers, about seven of ten who began stop after the fourth episode, and few before."""
    plays = [Seen(int(event.user[1:]), event.episode, event.received_at.date(), event.seconds) for event in week.events]
    days = [SETTINGS.start + timedelta(days=n) for n in range(7)]
    found = Seasons(plays, week.seasons, days, days[-1], Rules()).steps()
    kept = [row["kept"] for (show, _, _), row in sorted(found.items()) if show == STOPPED.show_id]
    assert kept[:4] == pytest.approx([1, 1, 1, 1], abs=0.1)
    assert kept[4:7] == pytest.approx([0.3, 0.3, 0.3], abs=0.1)


def test_one_show_has_most_of_its_viewers_on_the_first_day_and_one_gains_them_later(week: Week) -> None:
    """Of the viewers of three days, one show has most on its first, and the other less than half."""
    plays = [Seen(int(event.user[1:]), event.episode, event.received_at.date(), event.seconds) for event in week.events]
    show_of = {episode: show["id"] for episode, (show, _) in week.episodes.items()}
    first = SETTINGS.start + timedelta(days=1)
    premieres = {show["id"]: date.fromisoformat(show["premiered"]) for show, _ in week.episodes.values()}
    both = {one.show_id: premieres[one.show_id] for one in (STARTED, GREW)}
    assert set(both.values()) == {first}
    one, three = (launches(plays, show_of, both, first + timedelta(days=number), first) for number in (0, 2))
    share = {show: one[show]["reach"] / three[show]["reach"] for show in both}
    assert share[STARTED.show_id] > 0.6
    assert share[GREW.show_id] < 0.5


def test_planted_shows_are_in_the_schedule_by_their_names() -> None:
    """The schedule serves every show that the list of planted answers names."""
    served = {show["id"]: show["name"] for show, _ in _episodes().values()}
    named = dict(pair for answer in ANSWERS for pair in answer.shows)
    assert named == {show.show_id: served[show.show_id] for show in SHOWS}

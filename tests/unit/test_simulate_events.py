"""The made-up play events: lines, files, duplicates, malformed lines and times."""

import gzip
import json
import re
import zlib
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from jobs.rollup.contract import Event, Fields, Reason, Window, validate
from jobs.simulate.malformed import DAILY, KINDS
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import Summary, simulate
from marquee.storage.local import LocalStore

KEY = re.compile(
    r"topics/plays/year=(\d{4})/month=(\d\d)/day=(\d\d)/hour=(\d\d)/plays\+(?P<partition>\d)\+(?P<offset>\d{10})\.json\.gz"
)
SETTINGS = SimulateSettings(days=3, events_per_day=6_000)
GOOD = {
    "event_id": "5224603a-0f6c-4c70-8b29-2f6b3c1c5e4d",
    "received_at": "2026-01-05T13:02:11.123Z",
    "event": {
        "user_id": "u2218169",
        "episode_id": 2509799,
        "country": "KR",
        "utc_offset_minutes": 540,
        "language": "ko",
        "device": "tv",
        "watched_seconds": 60,
    },
}
HOUR = Window(datetime(2026, 1, 5, 12, 45), datetime(2026, 1, 5, 14, 15))  # noqa: DTZ001 - UTC, as in the lake

Files = dict[str, list[bytes]]


def made(settings: SimulateSettings, folder: Any) -> tuple[Summary, Files]:
    """Return the summary of a simulation, and the lines of its files by key."""
    store = LocalStore(folder)
    summary = simulate(settings, store)
    return summary, {info.key: gzip.decompress(store.get(info.key)).split(b"\n")[:-1] for info in store.list("topics/")}


def hour_of(key: str) -> datetime:
    """Return the hour of a file."""
    match = KEY.fullmatch(key)
    assert match, key
    return datetime(*(int(part) for part in match.groups()[:4]), tzinfo=UTC)  # type: ignore[arg-type, misc]


def validated(files: Files) -> dict[str, list[Event | Reason]]:
    """Return the event or the reason for rejection of each line, by key."""
    return {key: [validate(line, Fields(), _window(hour_of(key))) for line in lines] for key, lines in files.items()}


def _window(hour: datetime) -> Window:
    start = hour.replace(tzinfo=None)
    return Window(start, start + timedelta(hours=1))


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, Files]:
    """The files of three days of a small service."""
    return made(SETTINGS, tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def verdicts(days: tuple[Summary, Files]) -> dict[str, list[Event | Reason]]:
    """The events and reasons for rejection of the lines of these days."""
    return validated(days[1])


@pytest.fixture(scope="module")
def events(verdicts: dict[str, list[Event | Reason]]) -> list[Event]:
    """The valid events of these days, with duplicates."""
    return [one for some in verdicts.values() for one in some if isinstance(one, Event)]


def test_good_lines_are_compact_json_in_the_order_of_the_contract(days: tuple[Summary, Files]) -> None:
    """A valid line is compact JSON with the keys in the order of the documented example."""
    line = days[1]["topics/plays/year=2026/month=01/day=05/hour=13/plays+0+" + _offset(days[1], 13) + ".json.gz"][0]
    record = json.loads(line)
    assert line == json.dumps(record, separators=(",", ":")).encode()
    assert (list(record), list(record["event"])) == (list(GOOD), list(GOOD["event"]))


def _offset(files: Files, hour: int) -> str:
    return min(
        match["offset"]
        for key in files
        if (match := KEY.fullmatch(key)) and match["partition"] == "0" and int(match[4]) == hour
    )


def test_offsets_of_a_partition_follow_one_another(days: tuple[Summary, Files]) -> None:
    """A file begins at the offset where the one before it ended, except at the two missing late files."""
    summary, files = days
    starts: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for key in sorted(files, key=hour_of):
        match = KEY.fullmatch(key)
        assert match
        starts[match["partition"]].append((int(match["offset"]), len(files[key])))
    gaps = 0
    for partition in starts.values():
        ordered = sorted(partition)
        gaps += sum(start + lines != following for (start, lines), (following, _) in pairwise(ordered))
        assert ordered[0][0] == 0
    assert gaps == summary.late_files == 2


def test_several_files_an_hour_and_one_hour_without_any(days: tuple[Summary, Files]) -> None:
    """Each hour has two files for each of four partitions, except one empty hour of the third day."""
    hours = Counter(hour_of(key) for key in days[1])
    assert max(hours.values()) == 8
    assert len(hours) == 71
    assert datetime(2026, 1, 7, 3, tzinfo=UTC) not in hours


def test_number_of_events_is_as_asked_for(days: tuple[Summary, Files]) -> None:
    """The number of events is within three percent of the requested 6,000 a day."""
    assert days[0].events == pytest.approx(18_000, rel=0.03)


def test_a_user_is_always_in_the_partition_of_the_user_id(verdicts: dict[str, list[Event | Reason]]) -> None:
    """The partition of a user is the CRC32 of the user id, modulo four."""
    for key, some in verdicts.items():
        match = KEY.fullmatch(key)
        assert match
        assert {zlib.crc32(one.user_id.encode()) % 4 for one in some if isinstance(one, Event)} == {
            int(match["partition"])
        }


def test_a_minute_is_an_event_and_the_last_one_is_shorter(events: list[Event]) -> None:
    """No event is longer than a minute, and most are a whole minute."""
    seconds = Counter(event.watched_seconds for event in events)
    assert max(seconds) == 60
    assert seconds[60] > 0.9 * seconds.total()


def test_plays_cross_hours_and_midnight(events: list[Event]) -> None:
    """Some plays continue a minute apart across midnight and across nearly every end of an hour."""
    by_play: dict[tuple[str, int], list[datetime]] = defaultdict(list)
    for event in events:
        by_play[event.user_id, event.episode_id].append(event.received_at)
    crossing = {
        later.hour
        for times in map(sorted, by_play.values())
        for earlier, later in pairwise(times)
        if earlier.hour != later.hour and later - earlier < timedelta(seconds=70)
    }
    assert 0 in crossing
    assert len(crossing) > 20


def test_one_event_in_500_is_a_duplicate_and_some_are_in_another_file(
    verdicts: dict[str, list[Event | Reason]],
) -> None:
    """One event in 500 has a duplicate in the same hour, some with a later time, some in another file."""
    copies: dict[str, list[tuple[str, Event]]] = defaultdict(list)
    for key, some in verdicts.items():
        for one in some:
            if isinstance(one, Event):
                copies[one.event_id].append((key, one))
    pairs = [copy for copy in copies.values() if len(copy) > 1]
    assert 0.001 < len(pairs) / len(copies) < 0.003
    assert {len({event.received_at for _, event in pair}) for pair in pairs} == {1, 2}
    assert {len({key for key, _ in pair}) for pair in pairs} == {1, 2}
    assert {len({hour_of(key) for key, _ in pair}) for pair in pairs} == {1}


def test_few_lines_are_malformed_and_in_every_way(
    days: tuple[Summary, Files], verdicts: dict[str, list[Event | Reason]]
) -> None:
    """The contract rejects the malformed lines, for every reason, and at most six in an hour."""
    rejected: Counter[Reason] = Counter()
    by_hour: Counter[datetime] = Counter()
    for key, some in verdicts.items():
        for one in some:
            if isinstance(one, Reason):
                rejected[one] += 1
                by_hour[hour_of(key)] += 1
    assert rejected.keys() == set(Reason)
    assert rejected.total() in range(days[0].malformed - 5, days[0].malformed + 1)  # less those in late files
    assert max(by_hour.values()) <= 6


@pytest.mark.parametrize("kind", KINDS)
def test_each_way_of_spoiling_a_line_is_rejected(kind: str) -> None:
    """The contract accepts the valid line and rejects each malformed version of it."""
    assert isinstance(validate(json.dumps(GOOD).encode(), Fields(), HOUR), Event)
    assert isinstance(validate(KINDS[kind](GOOD), Fields(), HOUR), Reason)


def test_once_a_day_a_line_is_no_text_and_one_is_too_long() -> None:
    """Once a day a line is not UTF-8, and another is too long."""
    assert {hour: validate(spoil(GOOD), Fields(), HOUR) for hour, spoil in DAILY.items()} == {
        5: Reason.NOT_UTF8,
        11: Reason.LINE_TOO_LONG,
    }


def test_clocks_change_with_summer_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The offset of viewers changes with summer time in New York, and stays the same in Tokyo."""
    settings = SimulateSettings(start=date(2026, 3, 7), days=3, events_per_day=6_000)
    _, files = made(settings, tmp_path_factory.mktemp("spring"))
    offsets: dict[str, dict[str, set[int]]] = {"US": defaultdict(set), "JP": defaultdict(set)}
    at_seven: dict[bool, set[int]] = {True: set(), False: set()}
    for some in validated(files).values():
        for one in some:
            if isinstance(one, Event) and one.country in offsets:
                offsets[one.country][one.user_id].add(one.utc_offset_minutes)
                if one.received_at.date() == date(2026, 3, 8) and one.country == "US":
                    at_seven[one.received_at.hour >= 7].add(one.utc_offset_minutes)
    assert set(map(frozenset, offsets["JP"].values())) == {frozenset({540})}
    seen = set(map(frozenset, offsets["US"].values()))
    assert {frozenset({-300, -240}), frozenset({-480, -420})} <= seen
    assert all(max(some) - min(some) in {0, 60} for some in seen)
    assert -240 in at_seven[True] - at_seven[False]


def test_the_same_seed_makes_the_same_bytes_and_another_one_others(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same seed gives the same files, and another seed gives other files."""
    one, again, other = (_bytes(seed, tmp_path_factory.mktemp("seed")) for seed in (1, 1, 2))
    assert one == again
    assert not set(one.values()) & set(other.values())


def _bytes(seed: int, folder: Any) -> dict[str, bytes]:
    store = LocalStore(folder)
    simulate(SimulateSettings(seed=seed, days=1, events_per_day=2_000), store)
    return {info.key: store.get(info.key) for info in store.list("topics/")}

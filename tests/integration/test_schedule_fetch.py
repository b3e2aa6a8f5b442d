"""The stage schedule_fetch from the service to the lake: captures, renewed captures, and faults."""

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.schedule_fetch.client import ScheduleClient
from jobs.schedule_fetch.settings import ScheduleFetchOptions
from jobs.schedule_fetch.stage import ScheduleFetchStage
from marquee.calendar import EVER, Span, day
from marquee.lake import keys
from marquee.lake.captured_schedule import read_captures
from marquee.lake.datasets import COUNTRIES, EPISODES, GENRES, NETWORKS, SHOWS
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers
from marquee.runs.stage import Report, State, run_stage, state_of
from marquee.runs.status import read_states
from marquee.storage.local import LocalStore
from tests import made_up_schedule as made_up
from tests.schedule_service import (
    Reply,
    ScheduleService,
    answer,
    cut,
    endless,
    packed,
    raw,
    redirect,
    reset,
    schedule_service,
)

NOW = datetime(2020, 12, 2, 6, tzinfo=UTC)
FIRST, SECOND = day("2020-12-01"), day("2020-12-02")
ONE_DAY = Span.of(FIRST, FIRST)
WEB_FILE = "web-2020-12-recorded-2022-07/2020-12-01.json"
US_FILE = "broadcast/us-2020-12-01--pkbiswal321-partial.json"
EPISODE = {"id": 1, "name": "Pilot", "_embedded": {"show": {"id": 7, "name": "Lost", "updated": 100}}}


@pytest.fixture
def service() -> Iterator[ScheduleService]:
    """A schedule service with one episode on the web on the first day."""
    with schedule_service() as running:
        running.tell(web(FIRST.date), answer([EPISODE]))
        yield running


def web(of: date) -> str:
    """Return the path of a day's web schedule."""
    return f"/schedule/web?date={of}"


Capture = Callable[..., Report]


@pytest.fixture
def capture(lake: LocalStore, service: ScheduleService) -> Capture:
    """Runs the stage like a process of its own, with markers read anew."""

    def run(span: Span = EVER, *, now: datetime = NOW, force: bool = False, **options: Any) -> Report:
        given = {"url": service.url, "countries": ("US",), "days_back": 1, "retry_for_s": 0.05} | options
        settings = ScheduleFetchOptions(**given)
        markers = Markers(lake)
        with ScheduleClient(settings) as client:
            stage = ScheduleFetchStage(markers, settings, client, lambda: now)
            return run_stage(stage, markers, span, force=force, clock=lambda: now)

    return run


def standing(lake: LocalStore) -> dict[str, Marker]:
    """Return the published markers, by day."""
    return {str(period): marker for period, marker in Markers(lake).of(keys.SCHEDULE_FETCH).items()}


def failures(lake: LocalStore) -> dict[str, tuple[int, str]]:
    """Return exit code and reason of current failures, by day."""
    found = Markers(lake).failures(keys.SCHEDULE_FETCH)
    return {str(period): (failure.exit_code, failure.reason) for period, failure in found.items()}


@pytest.fixture(params=["made up", "TVmaze"])
def answers(request: pytest.FixtureRequest) -> tuple[bytes, bytes]:
    """One day's answers of TVmaze for the web and the US, with 98 and 72 episodes."""
    if request.param == "made up":
        return json.dumps(made_up.ON_WEB, ensure_ascii=False).encode(), json.dumps(made_up.IN_STATES).encode()
    tvmaze: Path = request.getfixturevalue("tvmaze")
    return (tvmaze / WEB_FILE).read_bytes(), (tvmaze / US_FILE).read_bytes()


def test_answers_are_kept_as_served(
    answers: tuple[bytes, bytes], lake: LocalStore, service: ScheduleService, capture: Capture
) -> None:
    """The answer of each source is in the lake byte for byte, with its number of episodes."""
    on_web, in_us = answers
    service.tell(web(FIRST.date), raw(on_web))
    service.tell("/schedule?country=US&date=2020-12-01", raw(in_us))
    (marker,) = capture(ONE_DAY).made
    prefix = f"data/schedule_fetch/2020-12-01/run={marker.run_id}/payload/"
    payload = {one.key.removeprefix(prefix): one for one in marker.outputs if one.dataset == "payload"}
    episodes = {"country=US.json": len(json.loads(in_us)), "web.json": len(json.loads(on_web))}
    assert {name: one.rows for name, one in payload.items()} == episodes
    assert lake.get(f"{prefix}web.json") == on_web
    assert lake.get(f"{prefix}country=US.json") == in_us


def test_tables_hold_both_answers(
    answers: tuple[bytes, bytes], lake: LocalStore, service: ScheduleService, capture: Capture
) -> None:
    """Web and broadcast episodes of a day are in one table under the requested day, whatever their airdate."""
    service.tell(web(FIRST.date), raw(answers[0]))
    service.tell("/schedule?country=US&date=2020-12-01", raw(answers[1]))
    (marker,) = capture(ONE_DAY).made
    listed = [item["id"] for one in answers for item in json.loads(one)]
    ids = set(listed)
    captured = read_captures(Markers(lake), EPISODES)
    assert set(captured["episode_id"].to_pylist()) == ids
    assert set(captured["requested_day"].to_pylist()) == {FIRST.date}
    assert date(2020, 11, 30) in captured["airdate"].to_pylist()
    tables = {one.name: marker.rows(one) for one in (EPISODES, SHOWS, GENRES, NETWORKS, COUNTRIES)}
    assert tables == {name: marker.counts[name] for name in tables}
    assert marker.counts["episodes_in"] == len(listed) == len(ids) + marker.counts["duplicates"]


def test_marker_says_what_it_took(service: ScheduleService, capture: Capture) -> None:
    """The marker has the calls with their retries, bytes and rows, and the settings that they depend on."""
    service.tell("/schedule?country=US&date=2020-12-01", answer({}, 503), answer([]))
    (marker,) = capture(ONE_DAY).made
    assert marker.parameters == {"url": service.url, "countries": ["US"]}
    assert marker.counts == {
        "calls": 3,
        "bytes": len(json.dumps([EPISODE])) + len("[]"),
        "episodes_in": 1,
        "duplicates": 0,
        "episodes": 1,
        "shows": 1,
        "genres": 0,
        "networks": 0,
        "countries": 0,
        "rejects": {},
        "odd_values": {},
        "unknown_fields": [],
    }


def test_same_answers_make_the_same_bytes(lake: LocalStore, capture: Capture) -> None:
    """A forced rerun with the same answers is a new generation with equal content, so nothing downstream is stale."""
    (before,) = capture(ONE_DAY).made
    (after,) = capture(ONE_DAY, force=True).made
    assert (before.generation, after.generation) == (1, 2)
    assert before.as_input(EPISODES) == after.as_input(EPISODES)
    assert standing(lake)["2020-12-01"].run_id == after.run_id


@pytest.mark.parametrize(
    ("options", "span", "days"),
    [
        ({"days_back": 2}, EVER, ["2020-11-30", "2020-12-01", "2020-12-02"]),
        ({"days_back": 0, "days_ahead": 1}, EVER, ["2020-12-02", "2020-12-03"]),
        ({"first_day": date(2020, 12, 1)}, EVER, ["2020-12-01", "2020-12-02"]),
        ({}, Span.of(day("2020-02-28"), day("2020-03-01")), ["2020-02-28", "2020-02-29", "2020-03-01"]),
        ({"days_back": 28}, Span.of(FIRST), ["2020-12-01", "2020-12-02"]),
        ({"days_back": 1}, Span.of(None, FIRST), ["2020-12-01"]),
        ({}, Span.of(day("2020-12-24"), day("2020-12-24")), ["2020-12-24"]),
        ({}, Span.of(day("2020-12-24")), []),
    ],
    ids=["back", "ahead", "first day", "any span", "from", "to", "future", "from the future on"],
)
def test_days_to_capture(
    lake: LocalStore, capture: Capture, options: dict[str, Any], span: Span, days: list[str]
) -> None:
    """By default the settings determine the days, and a span selects any day."""
    capture(span, **options)
    assert sorted(standing(lake)) == days


def test_rerun_does_nothing(service: ScheduleService, capture: Capture) -> None:
    """A captured day is done, and a rerun makes no request."""
    capture()
    asked = list(service.asked)
    report = capture(now=NOW + timedelta(hours=12))
    assert (report.made, report.failed, report.unchanged) == ((), (), 2)
    assert service.asked == asked


def test_new_country_makes_days_stale(service: ScheduleService, capture: Capture) -> None:
    """A new country makes captured days stale, and they are captured again; the order of countries is irrelevant."""
    capture(ONE_DAY, countries=("US", "KR"))
    assert capture(ONE_DAY, countries=("KR", "US")).unchanged == 1
    service.asked.clear()
    (marker,) = capture(ONE_DAY, countries=("US", "KR", "JP")).made
    assert marker.generation == 2
    assert len(service.asked) == 4


def test_latest_days_are_fetched_again(service: ScheduleService, capture: Capture) -> None:
    """Days within refetch_days are due again when their capture is older than refetch_after_h."""
    options = {"first_day": date(2020, 11, 30), "refetch_days": 2, "refetch_after_h": 6.0}
    assert len(capture(**options).made) == 3
    assert capture(**options, now=NOW + timedelta(hours=6)).made == ()
    service.tell(web(SECOND.date), answer([EPISODE]))
    again = capture(**options, now=NOW + timedelta(hours=7))
    assert [(marker.period, marker.generation) for marker in again.made] == [("2020-12-01", 2), ("2020-12-02", 2)]
    assert again.made[1].counts["episodes"] == 1
    assert capture(**options, now=NOW + timedelta(hours=8)).unchanged == 3


def test_day_that_is_no_longer_late_stays_done(capture: Capture) -> None:
    """A captured day outside refetch_days stays done, also after a change of that setting."""
    options = {"first_day": FIRST.date, "refetch_days": 1, "refetch_after_h": 6.0}
    capture(ONE_DAY, **options)
    later = NOW + timedelta(days=30)
    assert capture(ONE_DAY, now=later, **options).unchanged == 1
    assert capture(ONE_DAY, now=later).unchanged == 1


def test_service_that_is_down_is_asked_for_three_days(
    lake: LocalStore, service: ScheduleService, capture: Capture
) -> None:
    """After three failed days the run skips the rest of the month, and only the tried days have failure markers."""
    days = [NOW.date() - timedelta(days=back) for back in range(28, -1, -1)]
    service.tell(web(days[0]), answer([EPISODE]))
    for one in days[1:]:
        service.tell(f"/schedule?country=US&date={one}", answer({}, 503))
    report = capture(days_back=28)
    assert (len(report.made), report.exit_code) == (1, 75)
    assert sorted(failures(lake)) == [str(one) for one in days[1:4]]
    assert report.note == "3 periods in a row failed, so the remaining 25 were not tried; run it again later"
    assert not any(str(one) in path for path in service.asked for one in days[4:])


def test_bad_answers_do_not_count_as_a_service_that_is_down(service: ScheduleService, capture: Capture) -> None:
    """Invalid answers do not count as a service that is down, so every day is tried."""
    days = [NOW.date() - timedelta(days=back) for back in range(4, -1, -1)]
    for one in days:
        service.tell(web(one), answer({"error": "no schedule"}))
    report = capture(days_back=4)
    assert ([code for _, code in report.failed], report.note) == ([65] * 5, "")


def state_by_day(lake: LocalStore, span: Span = EVER, **options: Any) -> dict[str, State]:
    """Return the state of each day that status lists."""
    markers = Markers(lake)
    stage = ScheduleFetchStage(markers, ScheduleFetchOptions(**options), None, lambda: NOW)
    return {str(one.period): one.state for one in read_states(stage, markers, stage.known_periods(span))}


def test_captured_day_before_the_first_day_is_done(
    lake: LocalStore, service: ScheduleService, capture: Capture
) -> None:
    """A captured day before the first day counts as done, and a missing one there is not pending."""
    early = day("2020-11-01")
    capture(Span.of(early, early))
    capture(days_back=1)
    options: dict[str, Any] = {"url": service.url, "countries": ("US",), "days_back": 1}
    done = {"2020-11-01": State.DONE, "2020-12-01": State.DONE, "2020-12-02": State.DONE}
    assert state_by_day(lake, **options) == done
    assert state_by_day(lake, Span.parse("2020-11"), **options) == {"2020-11-01": State.DONE}
    more = options | {"countries": ("KR", "US")}
    assert state_by_day(lake, **more) == done | {"2020-12-01": State.STALE, "2020-12-02": State.STALE}


@dataclass(frozen=True)
class Fault:
    """A fault of the service, the expected exit code, and the expected message."""

    reply: Reply
    code: int
    says: str


FAULTS = {
    "HTML": Fault(
        raw(b"<html>", 200, {"Content-Type": "text/html"}), 65, "has type 'text/html', expected application/json"
    ),
    "cut JSON": Fault(raw(json.dumps([EPISODE]).encode()[:-3]), 65, "not JSON"),
    "cut body": Fault(cut(json.dumps([EPISODE]).encode(), missing=3), 75, "IncompleteRead"),
    "422": Fault(answer({"message": "Invalid country"}, 422), 78, '422 Unprocessable Entity: \'{"message": "Invalid'),
    "huge": Fault(endless(b"[" * 65_536), 65, "larger than max_answer_mb = 1 MiB"),
    "redirect": Fault(redirect("https://other.example/"), 78, "redirected (301) to 'https://other.example/'"),
    "429": Fault(answer({"message": "slow down"}, 429), 75, "429 Too Many Requests"),
    "500": Fault(answer({"message": "oops"}, 500), 75, "500 Internal Server Error"),
    "reset": Fault(reset(), 75, "ConnectionResetError"),
    "rejects": Fault(answer([EPISODE, *[{"id": "?"}] * 11]), 65, "11 of 12 episodes were rejected"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_fault_fails_its_day_alone(lake: LocalStore, service: ScheduleService, capture: Capture, fault: Fault) -> None:
    """A fault fails its day with a reason and publishes nothing of it, and the next day is still captured."""
    service.tell(web(FIRST.date), fault.reply)
    report = capture(max_answer_mb=1)
    assert (report.failed, report.exit_code) == (((FIRST, fault.code),), fault.code)
    code, reason = failures(lake)["2020-12-01"]
    assert code == fault.code
    assert service.url in reason
    assert fault.says in reason
    assert list(lake.list("data/schedule_fetch/2020-12-01/")) == []
    assert list(standing(lake)) == ["2020-12-02"]


def test_failed_day_stays_to_be_made(lake: LocalStore, service: ScheduleService, capture: Capture) -> None:
    """A failed day is tried again in the next run, and a success clears the failure."""
    service.tell(web(FIRST.date), answer({}, 500))
    capture(ONE_DAY)
    options = ScheduleFetchOptions(url=service.url, countries=("US",))
    with ScheduleClient(options) as client:
        stage = ScheduleFetchStage(Markers(lake), options, client, lambda: NOW)
        assert state_of(stage, stage.target(FIRST), Markers(lake)) is State.FAILED
    service.tell(web(FIRST.date), answer([EPISODE]))
    assert len(capture(ONE_DAY).made) == 1
    assert failures(lake) == {}
    assert lake.head(keys.failed_key(keys.SCHEDULE_FETCH, FIRST)) is None


def test_failed_refetch_leaves_what_stands(lake: LocalStore, service: ScheduleService, capture: Capture) -> None:
    """A failed renewal leaves the earlier capture complete and published."""
    (before,) = capture(ONE_DAY).made
    service.tell(web(FIRST.date), raw(b"<html>", 200, {"Content-Type": "text/html"}))
    assert capture(ONE_DAY, force=True).exit_code == 65
    assert standing(lake)["2020-12-01"] == before
    assert read_captures(Markers(lake), EPISODES)["episode_id"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("good", "bad", "made"),
    [(1, 10, True), (1, 11, False), (0, 1, False), (1980, 20, True), (1979, 21, False)],
    ids=["10 of few", "11 of few", "all", "1 % of many", "more than 1 % of many"],
)
def test_rejects_up_to_the_threshold(
    service: ScheduleService, capture: Capture, good: int, bad: int, made: bool
) -> None:
    """A day is published with up to 10 rejected episodes or 1 % of all, whichever is more, if others are left."""
    items = [EPISODE | {"id": number} for number in range(1, good + 1)] + [{"id": None}] * bad
    service.tell(web(FIRST.date), answer(items))
    report = capture(ONE_DAY)
    assert len(report.made) == made
    if made:
        assert report.made[0].counts["rejects"] == {"no episode id": bad}


@pytest.mark.parametrize(
    ("items", "reasons"),
    [
        ([{"id": 21, "name": "x"}] * 2, "no show 2"),
        ([None, 5, "x", []], "no object 4"),
        ([None, {}, {"id": 1}], "no episode id 1, no object 1, no show 1"),
    ],
    ids=["without shows", "no objects", "several reasons"],
)
def test_day_of_rejected_episodes_alone_fails(
    lake: LocalStore, service: ScheduleService, capture: Capture, items: list[Any], reasons: str
) -> None:
    """A day with episodes of which none can be read fails, however few they are, and an empty day does not."""
    service.tell(web(FIRST.date), answer(items), answer([]))
    assert capture(ONE_DAY).failed == ((FIRST, 65),)
    _, reason = failures(lake)["2020-12-01"]
    assert f"{len(items)} of {len(items)} episodes were rejected ({reasons}), and none is left" in reason
    assert len(capture(ONE_DAY).made) == 1


def test_drift_is_told(service: ScheduleService, capture: Capture, caplog: pytest.LogCaptureFixture) -> None:
    """Unknown fields and values of the service are in the log and in the marker, and stop nothing."""
    service.tell(web(FIRST.date), answer([EPISODE | {"runtime": "60", "director": "…"}]))
    (marker,) = capture(ONE_DAY).made
    assert marker.counts["odd_values"] == {"episode.runtime": 1}
    assert marker.counts["unknown_fields"] == ["episode.director"]
    assert [one.message for one in caplog.records if one.levelname == "WARNING"] == [
        "schedule_fetch 2020-12-01: the service's responses have unknown fields or values"
    ]


def test_one_line_a_day_is_logged(capture: Capture, caplog: pytest.LogCaptureFixture) -> None:
    """A run logs one line of figures for each day."""
    caplog.set_level("INFO")
    capture(ONE_DAY)
    (line,) = [vars(one) for one in caplog.records if "published" in one.message]
    figures = {"calls": 2, "bytes": len(json.dumps([EPISODE])) + len("[]"), "episodes": 1, "shows": 1, "seconds": 0.0}
    assert {name: line[name] for name in figures} == figures


def run_module(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the stage as a module, like its image."""
    command = [sys.executable, "-m", "jobs.schedule_fetch", *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_module_captures_a_period(lake: LocalStore, service: ScheduleService) -> None:
    """The process ``python -m jobs.schedule_fetch PERIOD`` reads its settings from the environment and ends with 0."""
    done = run_module(
        "2020-12-01",
        MARQUEE_LAKE=lake.url,
        MARQUEE_SCHEDULE_FETCH__URL=service.url,
        MARQUEE_SCHEDULE_FETCH__COUNTRIES='["KR"]',
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads(done.stderr.splitlines()[0])["message"] == "schedule_fetch 2020-12-01 published"
    assert standing(lake)["2020-12-01"].parameters["countries"] == ["KR"]


def test_module_refuses_wrong_settings(lake: LocalStore) -> None:
    """A wrong setting ends the module before any call, with 78 and a remedy."""
    done = run_module(MARQUEE_LAKE=lake.url, MARQUEE_SCHEDULE_FETCH__COUNTRIES='["UK"]')
    assert done.returncode == 78
    assert (
        "MARQUEE_SCHEDULE_FETCH__COUNTRIES=['UK']: Value error, Invalid country 'UK'"
        in json.loads(done.stderr)["message"]
    )


MIB = 1 << 20
PEAK = """
import sys
from jobs.schedule_fetch.job import run
from jobs.schedule_fetch.settings import ScheduleFetchSettings
from marquee.runs.command import stage_command

sys.argv = ["schedule_fetch", "2020-12-01"]
code = stage_command("schedule_fetch", "", ScheduleFetchSettings, run)
# Not ru_maxrss, which after a fork begins with the memory of the parent.
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(code)
"""


def noise(number: int, size: int) -> str:
    """Return a text that does not compress, the same for a number."""
    return base64.b64encode(hashlib.shake_256(str(number).encode()).digest(size * 3 // 4)).decode()


def listed(items: Iterable[Any]) -> bytes:
    """Return an answer of items, up to 50 MiB."""
    body = bytearray(b"[")
    for item in items:
        text = json.dumps(item, ensure_ascii=False).encode()
        if len(body) + len(text) + 2 > 50 * MIB:
            break
        body += text + b","
    return bytes(body[:-1] + b"]")


def texts() -> bytes:
    """Return 50 MiB of episodes whose texts do not compress, each with a show of its own."""
    numbers = range(1, 100_000)
    return listed(
        {"id": n, "summary": noise(n, 1500), "show": {"id": n, "summary": noise(-n, 1500), "name": noise(n, 40)}}
        for n in numbers
    )


def shows() -> bytes:
    """Return 60,000 episodes, each of a show, a network and a web channel of its own."""
    numbers = range(1, 60_001)
    return listed(
        {"id": n, "show": {"id": n, "network": {"id": n, "name": f"N{n}"}, "webChannel": {"id": n}, "genres": ["a"]}}
        for n in numbers
    )


def wide() -> bytes:
    """Return episodes with texts of characters that take four bytes in memory."""
    return listed({"id": n, "name": chr(0x1F600) * 200_000, "show": {"id": n}} for n in range(1, 40))


BOUNDED: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "17 million objects": (lambda: b"[" + b"{}," * 17_000_000 + b"{}]", 65, "more than max_episodes"),
    "512 MiB in 500 KB": (lambda: b" " * (512 * MIB), 65, "larger than max_answer_mb"),
    "texts": (texts, 0, "published"),
    "shows": (shows, 0, "published"),
    "wide": (wide, 0, "published"),
}


@pytest.mark.parametrize("kind", BOUNDED)
def test_large_answers_take_little_memory(lake: LocalStore, service: ScheduleService, kind: str) -> None:
    """The process of a day with two answers of up to 50 MiB stays well below 256 MiB of memory."""
    make, code, words = BOUNDED[kind]
    reply = packed(make())
    service.tell(web(FIRST.date), reply)
    service.tell("/schedule?country=US&date=2020-12-01", reply)
    settings = {
        "MARQUEE_LAKE": lake.url,
        "MARQUEE_SCHEDULE_FETCH__URL": service.url,
        "MARQUEE_SCHEDULE_FETCH__COUNTRIES": '["US"]',
    }
    command = [sys.executable, "-c", PEAK]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert int(done.stdout.split()[1]) >> 10 < 230

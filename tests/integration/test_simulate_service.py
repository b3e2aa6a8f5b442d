"""The simulated schedule service over HTTP."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import requests

from jobs.simulate.catalogue import build_world
from jobs.simulate.schedule import Schedule
from jobs.simulate.serve import serve
from jobs.simulate.settings import SimulateSettings

SETTINGS = SimulateSettings()
Row = dict[str, Any]


@pytest.fixture(scope="module")
def schedule() -> Schedule:
    """The schedule of the default service."""
    return Schedule(build_world(SETTINGS))


def _show(row: Row) -> Row:
    show: Row = row["_embedded"]["show"]
    return show


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The URL of the served schedule."""
    with serve(SETTINGS) as url:
        yield url


def test_served_days_are_those_of_the_schedule(url: str, schedule: Schedule) -> None:
    """HTTP answers are the days of the schedule as JSON in UTF-8."""
    answer = requests.get(f"{url}/schedule", {"country": "KR", "date": "2026-01-05"}, timeout=10)
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert answer.json() == schedule.of_country("KR", date(2026, 1, 5))
    web = requests.get(f"{url}/schedule/web", {"date": "2026-01-05"}, timeout=10).json()
    assert web == schedule.of_web(date(2026, 1, 5))


def test_web_schedule_can_be_asked_for_a_country_or_for_global_channels(url: str) -> None:
    """Without a country the web schedule has all channels, with one its own, with an empty one the global ones."""
    answers = {
        name: requests.get(f"{url}/schedule/web", {"date": "2026-01-05"} | query, timeout=10).json()
        for name, query in {"all": {}, "KR": {"country": "KR"}, "global": {"country": ""}}.items()
    }
    assert {_show(row)["webChannel"]["country"]["code"] for row in answers["KR"]} == {"KR"}
    assert {_show(row)["webChannel"]["country"] for row in answers["global"]} == {None}
    assert len(answers["all"]) > len(answers["KR"]) + len(answers["global"])


def test_days_outside_the_window_are_empty(url: str) -> None:
    """A day outside the window has no episodes."""
    assert requests.get(f"{url}/schedule/web", {"date": "2020-01-01"}, timeout=10).json() == []


@pytest.mark.parametrize(
    ("path", "query"),
    [
        pytest.param("/schedule", {"country": "Korea"}, id="country name"),
        pytest.param("/schedule", {"country": "kr"}, id="small letters"),
        pytest.param("/schedule", {"date": "2026-13-01"}, id="month 13"),
        pytest.param("/schedule/web", {"date": "yesterday"}, id="no date"),
        pytest.param("/schedule/web", {"country": "XYZ"}, id="web country"),
    ],
)
def test_wrong_parameters_are_unprocessable(url: str, path: str, query: dict[str, str]) -> None:
    """Invalid parameters give status 422 and a JSON object with the reason."""
    answer = requests.get(url + path, query, timeout=10)
    assert answer.status_code == 422
    assert answer.json().keys() == {"name", "message", "code", "status"}
    assert repr(next(iter(query.values()))) in answer.json()["message"]


def test_other_paths_are_not_found(url: str) -> None:
    """Other paths give status 404 as JSON."""
    answer = requests.get(f"{url}/people", timeout=10)
    assert (answer.status_code, answer.json()["status"]) == (404, 404)

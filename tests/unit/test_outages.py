"""Pauses of an outage and what the log says of it, by a clock of the test's own."""

import pytest

from marquee.mart.settings import MartSettings
from marquee.outages import Outage
from marquee.settings.sections import S3Settings, StageSettings


class Clock:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of the outage."""
    return Clock()


def wait_out(outage: Outage, clock: Clock) -> list[float]:
    """Fail until no time is left; return the pauses."""
    pauses: list[float] = []
    while (pause := outage.pause_s("refused", len(pauses) + 1)) is not None:
        pauses.append(pause)
        clock.now += pause
    return pauses


def test_pauses_grow_within_the_budget(clock: Clock) -> None:
    """Each pause is between half of its limit and the limit, which doubles up to 20 s; the last ends the budget."""
    pauses = wait_out(Outage("S3", 600, clock=clock), clock)
    limits = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, *[20.0] * len(pauses)]
    assert all(limit / 2 <= pause <= limit for pause, limit in zip(pauses[:-1], limits, strict=False))
    assert sum(pauses) == pytest.approx(600)


def test_budget_is_shared_until_a_success(clock: Clock) -> None:
    """Once the budget is used up, a further failure has no pause; a success gives the whole budget again."""
    outage = Outage("S3", 60, clock=clock)
    assert sum(wait_out(outage, clock)) == pytest.approx(60)
    assert wait_out(outage, clock) == []
    outage.over()
    assert sum(wait_out(outage, clock)) == pytest.approx(60)


def test_no_budget_is_no_retry(clock: Clock) -> None:
    """With a budget of zero the first failure is the last."""
    assert wait_out(Outage("S3", 0, clock=clock), clock) == []


@pytest.mark.parametrize(("asked_s", "expected"), [(7.0, 7.0), (61.0, None)])
def test_server_that_asks_for_a_pause(clock: Clock, asked_s: float, expected: float | None) -> None:
    """A pause that the server asks for is kept, and one beyond the budget ends the attempts at once."""
    assert Outage("S3", 60, clock=clock).pause_s("busy", 1, asked_s=asked_s) == expected


def test_log_at_growing_intervals(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """An outage of 200 s that fails each second is told after 2, 4, 8, 16, 32, 64, 124 and 184 s, and at its end."""
    outage = Outage("MySQL", 600, clock=clock)
    with caplog.at_level("INFO"):
        for _ in range(201):
            outage.pause_s("2003 refused", 1)
            clock.now += 1
        outage.over()
    assert caplog.messages == [
        *(
            f"MySQL has failed for {told} s (2003 refused): retrying for {600 - told} s more"
            for told in (2, 4, 8, 16, 32, 64, 124, 184)
        ),
        "MySQL answers again after 201 s",
    ]


def test_short_trouble_is_not_told(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A single failure is no line of the log."""
    outage = Outage("S3", 600, clock=clock)
    with caplog.at_level("INFO"):
        outage.pause_s("503 SlowDown", 1)
        outage.over()
    assert caplog.messages == []


class Settings(StageSettings):
    """Settings with two servers."""

    mart: MartSettings


def test_runs_wait_for_every_server_that_is_not_set() -> None:
    """A run waits ten minutes for each server, except where the settings say otherwise."""
    given = Settings(
        lake="s3://bucket", s3=S3Settings(retry_for_s=5), mart=MartSettings(url="mysql://me@localhost/kiosk")
    )
    patient = given.patient()
    assert (patient.s3.retry_for_s, patient.mart.retry_for_s) == (5, 600)
    assert given.mart.retry_for_s is None

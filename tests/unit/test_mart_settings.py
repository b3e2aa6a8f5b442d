"""Settings of mart_load: the URL of the kiosk and its period."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.mart_load.settings import MartLoadSettings
from marquee.calendar import Span
from marquee.errors import ConfigError
from marquee.mart.settings import (
    MartSettings,
    MysqlAddress,
    duckdb_path,
    mysql_address,
    span_of,
)
from marquee.settings.loading import load_settings


def test_without_a_url_the_error_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing URL is an error that names its variable."""
    monkeypatch.setenv("MARQUEE_LAKE", "file:///lake")
    with pytest.raises(ConfigError, match="MARQUEE_MART__URL: is not set"):
        load_settings(MartLoadSettings)


@pytest.mark.parametrize(
    "url", ["", "kiosk.duckdb", "postgres://host/mart", "duckdb://host/kiosk.duckdb", "duckdb:///", "duckdb:///folder/"]
)
def test_other_urls_are_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """An unsupported URL is an error that shows the value and the expected form."""
    monkeypatch.setenv("MARQUEE_LAKE", "file:///lake")
    monkeypatch.setenv("MARQUEE_MART__URL", url)
    with pytest.raises(ConfigError, match=r"MARQUEE_MART__URL=.*Use duckdb:///folder/kiosk\.duckdb"):
        load_settings(MartLoadSettings)


def test_a_url_may_hold_escapes() -> None:
    """A URL may contain escapes, such as %20 for a space in the name of a folder."""
    assert duckdb_path("duckdb:///my%20kiosks/q1.duckdb") == Path("/my kiosks/q1.duckdb")


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("", Span()),
        ("2026-Q1", Span(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))),
        ("2026-01-05", Span(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC))),
        ("2026-01-05/2026-W03", Span(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 19, tzinfo=UTC))),
    ],
)
def test_a_kiosk_is_for_a_period_or_a_span(text: str, span: Span) -> None:
    """The period of a kiosk is a single period or a span, of which both ends are part."""
    assert span_of(text) == span


@pytest.mark.parametrize("text", ["2026", "2026-01-05/", "/2026-01-05", "2026-02/2026-01", "2026-01/2026-02/2026-03"])
def test_other_periods_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """An invalid period is an error that shows the value and the valid forms."""
    monkeypatch.setenv("MARQUEE_LAKE", "file:///lake")
    monkeypatch.setenv("MARQUEE_MART__URL", "duckdb:///kiosk.duckdb")
    monkeypatch.setenv("MARQUEE_MART__PERIOD", text)
    with pytest.raises(ConfigError, match=r"MARQUEE_MART__PERIOD=.*2026-Q1 \(quarter\), or two of them as first/last"):
        load_settings(MartLoadSettings)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mysql://me@127.0.0.1/q1", MysqlAddress("me", "127.0.0.1", 3306, "q1")),
        ("mysql://a%40b@[::1]:3307/q1-2026_x", MysqlAddress("a@b", "::1", 3307, "q1-2026_x")),
    ],
)
def test_a_mysql_url(url: str, address: MysqlAddress) -> None:
    """A MySQL URL has user, host, port and database."""
    assert mysql_address(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "mysql://",
        "mysql://me@h",
        "mysql://h/q1",
        "mysql://me@h/",
        "mysql://me@h/a/b",
        "mysql://me@h/q1?x=1",
        "mysql://me@h/`q`",
    ],
)
def test_other_mysql_urls_are_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """An invalid MySQL URL is an error that shows the expected form."""
    monkeypatch.setenv("MARQUEE_LAKE", "file:///lake")
    monkeypatch.setenv("MARQUEE_MART__URL", url)
    with pytest.raises(ConfigError, match=r"MARQUEE_MART__URL=.*Use mysql://user@host:3306/database"):
        load_settings(MartLoadSettings)


@pytest.mark.parametrize("password", ["geheim", "ge/heim", "ge@heim", "ge#heim", "ge?heim", "ge:heim", ""])
def test_a_password_in_the_url_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    """A password in the URL is refused and not repeated in the message, which names its own setting."""
    monkeypatch.setenv("MARQUEE_LAKE", "file:///lake")
    monkeypatch.setenv("MARQUEE_MART__URL", f"mysql://me:{password}@127.0.0.1/q1")
    with pytest.raises(ConfigError, match="MARQUEE_MART__PASSWORD") as refused:
        load_settings(MartLoadSettings)
    assert "heim" not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "more", "refused"),
    [
        ("localhost", {}, False),
        ("127.0.0.5", {}, False),
        ("[::1]", {}, False),
        ("10.0.0.1", {}, True),
        ("db.example", {}, True),
        ("db.example", {"tls_ca": "/ca.pem"}, False),
        ("db.example", {"plaintext": True}, False),
        ("db.example", {"socket": "/run/mysqld/s"}, False),
    ],
)
def test_without_tls_only_on_this_machine(host: str, more: dict[str, Any], refused: bool) -> None:
    """A connection to another machine needs a CA, a socket, or the setting that allows plaintext."""
    given = {"url": f"mysql://me@{host}/q1", **more}
    if not refused:
        MartSettings.model_validate(given)
        return
    with pytest.raises(ValueError, match=r"another machine.*MARQUEE_MART__TLS_CA.*MARQUEE_MART__PLAINTEXT=true"):
        MartSettings.model_validate(given)


@pytest.mark.parametrize("min_cell", [1, 10, 14, 46])
def test_floors_that_hold(min_cell: int) -> None:
    """Twice an odd number from 10 to 46 hides single viewers; 1 hides nothing, on purpose."""
    assert MartSettings(url="duckdb:///kiosk.duckdb", min_cell=min_cell).min_cell == min_cell


@pytest.mark.parametrize("min_cell", [2, 6, 11, 12, 20, 48, 49, 50])
def test_floors_that_can_be_solved_for_or_not_proved_are_refused(min_cell: int) -> None:
    """Numbers that are small, odd or multiples of four are refused, and those that bits of viewers cannot tell."""
    expected = rf"rounded to {min_cell} can tell .* set one of 10, 14, 18, .*, 42, 46, or 1"
    with pytest.raises(ValueError, match=expected):
        MartSettings(url="duckdb:///kiosk.duckdb", min_cell=min_cell)


def test_a_mart_with_a_floor_has_whole_days() -> None:
    """A period within a day is for marts without a floor, or with the detail of hours."""
    with pytest.raises(ValueError, match=r"period='2026-01-05T10' begins or ends within a day"):
        MartSettings(url="duckdb:///kiosk.duckdb", period="2026-01-05T10")
    for exact in ({"min_cell": 1}, {"detail": "hour"}):
        given = {"url": "duckdb:///kiosk.duckdb", "period": "2026-01-05T10", **exact}
        assert not MartSettings.model_validate(given).whole_days

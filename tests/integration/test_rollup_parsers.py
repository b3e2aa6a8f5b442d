"""The compiled parser and SQL make the same bytes of an hour."""

import logging
from pathlib import Path

import pytest

from jobs.rollup import compiled, stage
from jobs.rollup.settings import RollupSettings
from marquee.errors import ConfigError
from marquee.settings.loading import load_settings
from tests.helpers_rollup import GOOD, World, line, many, new_world, spoilt

ODD = [
    b"",
    b"null",
    b"[" + GOOD + b"," + line(event_id="e2") + b"]",
    GOOD + line(event_id="e3"),
    spoilt(b"u1", rb"u\u0031"),
    spoilt(b"540", b"-0"),
    spoilt(b"540", b'540,"x":NaN'),
    spoilt(b"123Z", b"123+00:00"),
    spoilt(b"13:02", b"17:02"),
    line(language="EN-us", user_id="Zo\u00eb", event_id="e4"),
    line(device="TV"),
    GOOD + b"\r",
    b"\xff",
]


def world_of(folder: Path, parser: str) -> World:
    """A world with an hour of ordinary and odd lines in three files, read by a parser."""
    world = new_world(folder / parser, reject_share=1, parser=parser)
    world.put("plays+0+0.json", *many(3000), *ODD, *many(10, device="phone"))
    world.put("plays+1+0.json.gz", *ODD, *many(2000, received_at="2026-01-05T13:00:00Z"))
    world.put_bytes("plays+2+0.json", b"\xef\xbb\xbf" + b"\n".join([*ODD, *many(5), GOOD[:-1]]))
    return world


def test_parsers_make_the_same_bytes(tmp_path: Path) -> None:
    """All outputs of an hour, rejects among them, and its counts are equal with and without the compiled parser."""
    worlds = [world_of(tmp_path, parser) for parser in ("sql", "compiled")]
    for world in worlds:
        assert world.run().failed == ()
    one, other = worlds
    assert one.digests() == other.digests()
    assert one.rolled().counts == other.rolled().counts
    assert one.rolled().counts["rejects"]["device"] == 3


def test_without_the_modules_sql_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the modules are not installed, the hour is made by SQL, and the log says how to make it faster."""
    monkeypatch.setattr(stage, "why_not_compiled", lambda: "the compiled modules are not installed (no such module)")
    world = new_world(tmp_path)
    world.put("a.json", *many(10))
    with caplog.at_level(logging.INFO):
        assert world.run().failed == ()
    (said,) = (record.getMessage() for record in caplog.records if "compiled" in record.getMessage())
    assert said == (
        "JSON lines are read by SQL, which takes about three times as long: the compiled modules are not installed "
        "(no such module). Install a C compiler and Python's headers (Debian: apt-get install gcc python3-dev), and "
        "install Marquee again"
    )


def test_parser_that_is_not_installed_is_a_wrong_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To ask for the compiled parser where there is none fails at start."""
    monkeypatch.setattr(
        f"{RollupSettings.__module__}.why_not_compiled", lambda: "the compiled modules are not installed"
    )
    monkeypatch.setenv("MARQUEE_LAKE", tmp_path.as_uri())
    monkeypatch.setenv("MARQUEE_RAW", tmp_path.as_uri())
    monkeypatch.setenv("MARQUEE_ROLLUP__VIEWER_KEY", "0123456789abcdef")
    monkeypatch.setenv("MARQUEE_ROLLUP__PARSER", "compiled")
    with pytest.raises(ConfigError, match=r"not installed\. Install a C compiler .* or set auto"):
        load_settings(RollupSettings)
    assert compiled.why_not_compiled() is None

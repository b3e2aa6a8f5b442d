"""Checks that stop a rollup before any work: no events, another viewer key, settings changed too late."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from marquee.calendar import EVER, Period, Span, hour
from marquee.errors import ConfigError
from marquee.settings.sections import S3Settings
from marquee.storage.base import S3Options, Store
from marquee.storage.s3 import S3Store
from tests.helpers_rollup import GOOD, HOUR, NEXT_DAY, SECRET, World, key_of, line, new_world
from tests.s3_server import BUCKET, S3Server

NEXT, LAST = HOUR.next(), HOUR.next().next()
OTHER_KEY = SecretStr("another key that only tests have")


@pytest.fixture(params=["folder", "s3"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """An empty raw store and an empty lake, in folders and in S3."""
    if request.param == "folder":
        (tmp_path / "raw").mkdir()
        return new_world(tmp_path)
    server: S3Server = request.getfixturevalue("s3_server")
    options: S3Options = request.getfixturevalue("s3_options")
    raw, lake = (S3Store(BUCKET, f"{tmp_path.name}/{name}", options) for name in ("raw", "lake"))
    return World(raw, lake, S3Settings(endpoint_url=server.url, path_style=True))


def with_options(world: World, **options: Any) -> World:
    """Return the same stores with other settings."""
    return World(world.raw, world.lake, world.settings.s3, **options)


def refusal(world: World, span: Span = EVER, now: datetime = NEXT_DAY) -> str:
    """Run, assert that the run is refused before any work, and return the reason."""
    before = markers_and_failures(world.lake)
    with pytest.raises(ConfigError) as caught:
        world.run(span, now=now)
    assert markers_and_failures(world.lake) == before
    return str(caught.value)


def markers_and_failures(lake: Store) -> list[str]:
    """Return the keys and ETags of all markers."""
    return [f"{info.key} {info.etag}" for info in lake.list("markers/")]


def of(text: str) -> Span:
    """Return the span of one period."""
    return Span.of(Period.parse(text), Period.parse(text))


def three_hours(world: World) -> World:
    """Put one event into each of three hours, and roll them up."""
    for period in (HOUR, NEXT, LAST):
        world.put("plays+0+0.json", line(received_at=f"{period.start:%Y-%m-%dT%H}:30:00.000Z"), period=period)
    assert world.run().changed == 3
    return world


# No events


def test_raw_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """A raw folder that does not exist is an error that names it, like a missing bucket in S3."""
    world = new_world(tmp_path)
    assert refusal(world) == (
        f"MARQUEE_RAW=file://{tmp_path}/raw: no such folder. Set it to the folder of the raw events"
    )


def test_bucket_that_does_not_exist_is_named(world: World, s3_server: S3Server) -> None:
    """A missing bucket is an error with the message of the server and the settings to check."""
    s3 = S3Settings(endpoint_url=s3_server.url, path_style=True)
    options = S3Options(**s3.model_dump())
    elsewhere = World(S3Store("no-such-bucket", "raw", options), world.lake, s3)
    assert "the bucket does not exist; check the URL and MARQUEE_S3__ENDPOINT_URL" in refusal(elsewhere)


def test_empty_raw_store_is_an_error_of_settings(world: World) -> None:
    """An empty raw store is an error of settings that names the folders where events are expected."""
    assert refusal(world) == (
        f"MARQUEE_RAW={world.raw.url} is empty: expected raw events in folders "
        "'topics/plays/year={year}/month={month}/day={day}/hour={hour}/'"
    )


def test_other_topics_are_named(world: World) -> None:
    """When the topic has no events, the error lists the topics that exist."""
    for topic in ("views", "searches"):
        world.raw.put(f"topics/{topic}/year=2026/month=01/day=05/hour=13/{topic}+0+0.json", GOOD)
    assert refusal(world) == (
        f"{world.raw.url} has no raw events in folders "
        "'topics/plays/year={year}/month={month}/day={day}/hour={hour}/'; found in 'topics/': searches/, views/. "
        "Check MARQUEE_RAW, MARQUEE_ROLLUP__TOPIC and MARQUEE_ROLLUP__PATH"
    )


def test_other_folders_are_named_ten_at_most(world: World) -> None:
    """When no folder leads to the topic, the error lists up to ten folders and objects at the top."""
    world.raw.put("readme.txt", b"hello")
    for number in range(11):
        world.raw.put(f"day={number:02}/plays.json", GOOD)
    shown = ", ".join(f"day={number:02}/" for number in range(10))
    assert f"; found at the top: {shown} and 2 more. Check MARQUEE_RAW" in refusal(world)


def test_other_layout_below_the_topic_is_shown(world: World) -> None:
    """Objects of the topic in other folders are no raw events, and the error lists the folders."""
    world.raw.put("topics/plays/dt=2026-01-05/plays+0+0.json", GOOD)
    world.raw.put("topics/plays/year=2026/plays+0+0.json", GOOD)
    assert "; found in 'topics/plays/': dt=2026-01-05/, year=2026/. Check" in refusal(world)


def test_topic_that_is_a_link_is_named(tmp_path: Path) -> None:
    """A topic's folder that is a link is not followed, and the error names it; the store itself may be a link."""
    world = new_world(tmp_path / "real")
    world.put("plays+0+0.json", GOOD)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/topics").symlink_to(tmp_path / "real/raw/topics")
    assert f"{tmp_path.as_uri()}/raw/topics is a symbolic link, and links below MARQUEE_RAW" in refusal(
        new_world(tmp_path)
    )
    (tmp_path / "raw/topics").unlink()
    (tmp_path / "raw").rmdir()
    (tmp_path / "raw").symlink_to(tmp_path / "real/raw")
    assert new_world(tmp_path).run().changed == 1


def test_period_without_events_names_the_first_and_last_hour(world: World) -> None:
    """A period without events is refused with the first and last hour of the events."""
    world.put("plays+0+0.json", GOOD)
    world.put("plays+0+0.json", line(), period=LAST)
    for period in ("2026-01-05T12", "2026-01-04", "2025-Q4", "2026-01-05T14"):
        assert refusal(world, of(period)) == (
            "there are no events of this period; events are from 2026-01-05T13 to 2026-01-05T15"
        )


def test_hours_of_the_lake_count_as_events(world: World) -> None:
    """Hours in the lake count as events, because their raw events may be gone."""
    three_hours(world)
    world.raw.delete(key_of("plays+0+0.json", HOUR))
    assert "events are from 2026-01-05T13 to 2026-01-05T15" in refusal(world, of("2026-01-04"))


@pytest.mark.parametrize(
    ("span", "note"),
    [
        pytest.param(of("2026-02"), "this period is not over yet", id="not begun"),
        pytest.param(
            of("2026-01-06"),
            "there are no events of this period yet; events are from 2026-01-05T13 to 2026-01-05T13",
            id="not over",
        ),
        pytest.param(
            Span(hour("2026-01-06T00").start),
            "there are no events of this period yet; events are from 2026-01-05T13 to 2026-01-05T13",
            id="open end",
        ),
    ],
)
def test_period_that_is_not_over_may_have_no_events(world: World, span: Span, note: str) -> None:
    """A period that is not over may be without events, because they may still arrive."""
    world.put("plays+0+0.json", GOOD)
    report = world.run(span)
    assert (report.exit_code, report.changed, report.note) == (0, 0, note)


def test_open_hour_is_named(world: World) -> None:
    """When the only events are in an open hour, the run makes nothing, and the note names that hour."""
    world.put("plays+0+0.json", GOOD)
    report = world.run(now=datetime(2026, 1, 5, 14, 5, tzinfo=UTC))
    note = "2026-01-05T13 is not over yet: made from 2026-01-05 14:10 UTC on"
    assert (report.exit_code, report.changed, report.note) == (0, 0, note)


def test_lake_whose_raw_events_are_gone_is_done(world: World) -> None:
    """A lake whose raw events are all gone is done: nothing is pending, and the run prints no note."""
    three_hours(world)
    for info in list(world.raw.list()):
        world.raw.delete(info.key)
    for span in (EVER, of("2026-01-05")):
        report = world.run(span)
        assert (report.exit_code, report.unchanged, report.note) == (0, 3, "")


# Another viewer key


def test_another_viewer_key_is_refused(world: World) -> None:
    """Another viewer key is refused, and even a pending hour is not made with it."""
    three_hours(world)
    world.put("plays+0+0.json", line(received_at="2026-01-05T16:00:00Z"), period=LAST.next())
    message = refusal(with_options(world, viewer_key=OTHER_KEY))
    assert message == (
        "MARQUEE_ROLLUP__VIEWER_KEY differs from the key of 3 hours (2026-01-05T13 to 2026-01-05T15) of this lake. "
        "Hours of two keys cannot be counted together, because each viewer would count twice. Set the key back; or, if "
        "the raw events of all hours still exist, make all hours again under the new key with --force"
    )
    assert OTHER_KEY.get_secret_value() not in message
    assert world.run().changed == 1


def test_a_newer_key_in_front_asks_for_rekey(world: World) -> None:
    """A list that ends with the lake's key is refused until the lake is brought to it; another list as any key."""
    three_hours(world)
    world.put("plays+0+0.json", line(received_at="2026-01-05T16:00:00Z"), period=LAST.next())
    listed = SecretStr(json.dumps([OTHER_KEY.get_secret_value(), SECRET]))
    assert refusal(with_options(world, viewer_key=listed)) == (
        "3 hours (2026-01-05T13 to 2026-01-05T15) of this lake have viewers under the older keys of "
        "MARQUEE_ROLLUP__VIEWER_KEY alone. Nothing was made, because each viewer would count twice. Run marquee rekey, "
        "which brings the lake to the newer key"
    )
    turned = SecretStr(json.dumps([SECRET, OTHER_KEY.get_secret_value()]))
    assert "MARQUEE_ROLLUP__VIEWER_KEY differs from the key of 3 hours" in refusal(
        with_options(world, viewer_key=turned)
    )
    assert with_options(world, viewer_key=SecretStr(json.dumps([SECRET]))).run().changed == 1


def test_forced_hours_get_the_new_key_and_the_others_are_still_refused(world: World) -> None:
    """Forced hours get the new key, and the lake is refused until all its hours have it."""
    three_hours(world)
    other = with_options(world, viewer_key=OTHER_KEY)
    assert other.run(of(str(NEXT)), force=True).changed == 1
    assert "the key of 2 hours (2026-01-05T13, 2026-01-05T15) of this lake" in refusal(other)
    assert "the key of 1 hour (2026-01-05T14) of this lake" in refusal(world)
    assert other.run(force=True).changed == 3
    assert other.run().unchanged == 3
    assert other.rolled() != world.expected()


# Changed settings with missing raw events


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        pytest.param(
            {"fields": {"device": "event.kind"}},
            "MARQUEE_ROLLUP__FIELDS__DEVICE=event.kind (before: event.device)",
            id="fields",
        ),
        pytest.param({"slack_minutes": 5}, "MARQUEE_ROLLUP__SLACK_MINUTES=5 (before: 15)", id="slack"),
    ],
)
def test_setting_that_needs_raw_events_that_are_gone_is_refused(
    world: World, options: dict[str, Any], setting: str
) -> None:
    """A setting whose change needs missing raw events is refused with its name, the stale hours and the lost hours."""
    three_hours(world)
    world.raw.delete(key_of("plays+0+0.json", NEXT))
    assert refusal(with_options(world, **options)) == (
        f"{setting}: this change makes 3 hours (2026-01-05T13 to 2026-01-05T15) stale, but raw events of 1 hour "
        "(2026-01-05T14) are gone, so these cannot be made again. Set it back; or make the other hours again "
        "with --force"
    )
    assert world.run().unchanged == 3


def test_hours_that_can_be_made_again_are_made_by_force(world: World) -> None:
    """With force, hours that still have raw events are made; the others fail and keep their published results."""
    three_hours(world)
    world.raw.delete(key_of("plays+0+0.json", NEXT))
    other = with_options(world, slack_minutes=5)
    report = other.run(force=True)
    assert (report.changed, report.failed) == (2, ((NEXT, 78),))
    assert other.failures() == {
        str(NEXT): (
            "2026-01-05T14 cannot be made again with MARQUEE_ROLLUP__SLACK_MINUTES=5 (before: 15): 1 of its 1 raw "
            f"objects are gone, such as {key_of('plays+0+0.json', NEXT)!r}. The published hour is unchanged"
        )
    }
    assert other.markers()[str(NEXT)].parameters["slack_minutes"] == 15


def test_span_whose_raw_events_are_there_is_made_with_new_settings(world: World) -> None:
    """With a span, only the raw events of the requested hours are checked."""
    three_hours(world)
    world.raw.delete(key_of("plays+0+0.json", NEXT))
    assert with_options(world, slack_minutes=5).run(of(str(LAST))).changed == 1

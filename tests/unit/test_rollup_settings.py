"""The settings of rollup: wrong values are refused before any work, and the viewer key is never shown."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rollup.contract import path_of, steps
from jobs.rollup.settings import RollupSettings
from marquee.calendar import hour
from marquee.errors import ConfigError
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names

KEY = "canary-0123456789"


@pytest.fixture(autouse=True)
def needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the settings without a default."""
    monkeypatch.setenv("MARQUEE_LAKE", "file:///lake")
    monkeypatch.setenv("MARQUEE_RAW", "s3://raw")
    monkeypatch.setenv("MARQUEE_ROLLUP__VIEWER_KEY", KEY)


def test_defaults() -> None:
    """The defaults are those of the documentation."""
    options = load_settings(RollupSettings).rollup
    assert options.layout.folders(hour("2026-01-05T13"))[0] == "topics/plays/year=2026/month=01/day=05/hour=13/"
    assert (options.grace_minutes, options.slack_minutes, options.buckets) == (10, 15, "auto")
    assert (options.reject_lines, options.reject_share) == (100, 0.01)
    assert options.viewer_key.get_secret_value() == KEY


def test_key_is_never_shown() -> None:
    """The printed settings do not contain the viewer key."""
    assert KEY not in repr(load_settings(RollupSettings))


def test_key_may_be_a_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variable has a list as JSON, and the file as TOML; both are the same keys, newest first, and never shown."""
    keys = ("a newer key of this test", "an older key of this test")
    monkeypatch.setenv("MARQUEE_ROLLUP__VIEWER_KEY", json.dumps(keys))
    in_variable = load_settings(RollupSettings)
    monkeypatch.delenv("MARQUEE_ROLLUP__VIEWER_KEY")
    file = tmp_path / "marquee.toml"
    file.write_text(f"rollup.viewer_key = {json.dumps(keys)}\n")
    monkeypatch.setenv("MARQUEE_CONFIG", str(file))
    in_file = load_settings(RollupSettings)
    expected = tuple(key.encode() for key in keys)
    assert in_variable.rollup.viewer_keys == in_file.rollup.viewer_keys == expected
    assert "key of this test" not in f"{in_variable!r}{in_file!r}"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (["a newer key of this test", "short"], "too short: expected at least 16 bytes"),
        (["a key of this test", "a key of this test"], "the same key twice"),
        ([], "expected a key, or a list of keys in JSON"),
        (["a key of this test", 7], "expected a key, or a list of keys in JSON"),
    ],
)
def test_wrong_list_of_keys_is_refused(keys: list[object], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key of a list has its length, and none is there twice; the message shows no key."""
    monkeypatch.setenv("MARQUEE_ROLLUP__VIEWER_KEY", json.dumps(keys))
    with pytest.raises(ConfigError, match=told) as caught:
        load_settings(RollupSettings)
    assert "of this test" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        pytest.param("RAW", "raw", "MARQUEE_RAW='raw'", id="raw that is no URL"),
        pytest.param("ROLLUP__BUCKETS", "0", "MARQUEE_ROLLUP__BUCKETS='0'", id="no bucket"),
        pytest.param("ROLLUP__BUCKETS", "4097", "MARQUEE_ROLLUP__BUCKETS='4097'", id="too many buckets"),
        pytest.param("ROLLUP__REJECT_SHARE", "1.1", "MARQUEE_ROLLUP__REJECT_SHARE='1.1'", id="more than all"),
        pytest.param("ROLLUP__REJECT_LINES", "-1", "MARQUEE_ROLLUP__REJECT_LINES='-1'", id="less than none"),
        pytest.param("ROLLUP__GRACE_MINUTES", "-1", "MARQUEE_ROLLUP__GRACE_MINUTES='-1'", id="before the end"),
        pytest.param("ROLLUP__TOPIC", "a/b", "MARQUEE_ROLLUP__TOPIC='a/b'", id="a topic that is a path"),
        pytest.param("ROLLUP__PATH", "{topic}/dt={date}/", "Use {year}, {month}, {day} and {hour} once", id="a date"),
        pytest.param("ROLLUP__PATH", "{year}{month}{day}{hour}/{minute}/", "Invalid layout", id="finer than hours"),
        pytest.param("ROLLUP__FIELDS__USER_ID", "a..b", "has an empty name: write NAME or NAME.NAME", id="two dots"),
        pytest.param("ROLLUP__FIELDS__USER_ID", "a..b", "or '/a//b' if the name is empty", id="the way to no name"),
        pytest.param("ROLLUP__FIELDS__USER_ID", "", "has an empty name", id="nothing"),
        pytest.param("ROLLUP__FIELDS__USER_ID", "/a~b", "has '~b': a JSON pointer has '~0' for '~'", id="a tilde"),
        pytest.param("ROLLUP__FIELDS__USER_ID", "/a~", "has '~': a JSON pointer", id="a tilde at the end"),
        pytest.param("ROLLUP__FIELDS__USER_ID", "\udce9", "is not text in UTF-8", id="Latin-1 in the environment"),
        pytest.param("ROLLUP__FIELDS__USER_ID", "event", "'event' and 'event.episode_id' cannot", id="above others"),
        pytest.param(
            "ROLLUP__FIELDS__USER_ID", "/event", "'/event' and 'event.episode_id' cannot", id="above, pointer"
        ),
    ],
)
def test_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str) -> None:
    """A wrong setting is an error with its name, its value and what is wrong."""
    monkeypatch.setenv(f"MARQUEE_{name}", value)
    with pytest.raises(ConfigError) as error:
        load_settings(RollupSettings)
    assert told in str(error.value)
    assert KEY not in str(error.value)


@pytest.mark.parametrize("key", ["", "canary-of-15-by"], ids=["none", "15 bytes"])
def test_short_key_is_refused_unseen(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """A short viewer key is refused with the expected length, and the message does not show it."""
    monkeypatch.setenv("MARQUEE_ROLLUP__VIEWER_KEY", key)
    with pytest.raises(ConfigError, match=r"MARQUEE_ROLLUP__VIEWER_KEY: .*expected at least 16 bytes") as error:
        load_settings(RollupSettings)
    assert not key or key not in str(error.value)


def test_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing viewer key is an error, because it has no default and must not change."""
    monkeypatch.delenv("MARQUEE_ROLLUP__VIEWER_KEY")
    with pytest.raises(ConfigError, match="MARQUEE_ROLLUP__VIEWER_KEY: is not set"):
        load_settings(RollupSettings)


def test_misspelt_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt setting is an error with the nearest valid name."""
    monkeypatch.setenv("MARQUEE_ROLLUP__BUCKET", "4")
    with pytest.raises(
        ConfigError, match=r"Unknown setting MARQUEE_ROLLUP__BUCKET\. Did you mean MARQUEE_ROLLUP__BUCKETS"
    ):
        check_names()


def test_topic_fills_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of raw events contains the topic, and a custom path may omit it."""
    monkeypatch.setenv("MARQUEE_ROLLUP__TOPIC", "views")
    assert load_settings(RollupSettings).rollup.layout.template.startswith("topics/views/year=")
    monkeypatch.setenv("MARQUEE_ROLLUP__PATH", "{year}/{month}/{day}/{hour}/")
    assert load_settings(RollupSettings).rollup.layout.template == "{year}/{month}/{day}/{hour}/"


def test_fields_may_be_named_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The place of each field may be set separately, also to a place beside other fields."""
    monkeypatch.setenv("MARQUEE_ROLLUP__FIELDS__USER_ID", "event.account.id")
    monkeypatch.setenv("MARQUEE_ROLLUP__FIELDS__EVENT_ID", "_offset")
    fields = load_settings(RollupSettings).rollup.fields
    assert (fields.user_id, fields.event_id, fields.country) == ("event.account.id", "_offset", "event.country")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@timestamp", ("@timestamp",)),
        ("event.user-id", ("event", "user-id")),
        ('user "id"', ('user "id"',)),
        ("사용자.번호", ("사용자", "번호")),
        ("a/b", ("a/b",)),
        ("a~b", ("a~b",)),
        ("/event.user_id", ("event.user_id",)),
        ("/event/user.id", ("event", "user.id")),
        ("/~1a~01", ("/a~1",)),
        ("/", ("",)),
        ("/a/", ("a", "")),
    ],
)
def test_any_name_can_be_mapped(monkeypatch: pytest.MonkeyPatch, text: str, names: tuple[str, ...]) -> None:
    """A dotted path has names of any characters but dots, and a JSON pointer has any names."""
    monkeypatch.setenv("MARQUEE_ROLLUP__FIELDS__USER_ID", text)
    assert load_settings(RollupSettings).rollup.fields.user_id == text
    assert steps(text) == names
    assert steps(path_of(names)) == names


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), min_size=1, max_size=4))
def test_path_of_any_names_leads_to_them(names: list[str]) -> None:
    """The path that preflight suggests for a field leads to that field."""
    assert steps(path_of(names)) == tuple(names)

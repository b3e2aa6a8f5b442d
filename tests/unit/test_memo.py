"""The cache from one command to the next gives correct values, and its loss does no harm."""

import json
from pathlib import Path

import pytest

from marquee.memo import KEPT, remember


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a kind of value, in a cache folder that does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "marquee" / "digests.json"


def refuse() -> str:
    """Fail the test, because a cached value must not be derived again."""
    pytest.fail("derived again")


@pytest.mark.usefixtures("cache")
def test_a_value_is_derived_once() -> None:
    """A value is derived once for each kind and key, and read from the cache afterwards."""
    assert remember("digests", "one", lambda: "a") == "a"
    assert remember("digests", "one", refuse) == "a"
    assert remember("digests", "two", lambda: "b") == "b"
    assert remember("others", "one", lambda: "c") == "c"


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_a_damaged_file_is_as_none(cache: Path, text: str) -> None:
    """A damaged cache file is ignored and replaced."""
    cache.parent.mkdir(parents=True)
    cache.write_text(text, encoding="utf-8")
    assert remember("digests", "one", lambda: "a") == "a"
    assert remember("digests", "one", refuse) == "a"


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache folder that cannot be written is not an error, and the value is derived each time."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert remember("digests", "one", lambda: "a") == "a"
    assert remember("digests", "one", lambda: "b") == "b"


def test_the_oldest_entries_go(cache: Path) -> None:
    """The cache file is limited in size, and its oldest entries are removed."""
    for number in range(KEPT + 3):
        remember("digests", str(number), lambda: "a")
    assert len(json.loads(cache.read_text(encoding="utf-8"))) == KEPT
    assert remember("digests", str(KEPT + 2), refuse) == "a"
    assert remember("digests", "0", lambda: "again") == "again"

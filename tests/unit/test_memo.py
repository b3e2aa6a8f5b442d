"""What is remembered from one command to the next is right, and can be lost without harm."""

import json
from pathlib import Path

import pytest

from marquee.memo import KEPT, remember


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a kind of thing, in a cache folder that does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "marquee" / "digests.json"


def refuse() -> str:
    """Fail: what is remembered is not derived again."""
    pytest.fail("derived again")


@pytest.mark.usefixtures("cache")
def test_a_value_is_derived_once() -> None:
    """The second time it is read; another key is another value."""
    assert remember("digests", "one", lambda: "a") == "a"
    assert remember("digests", "one", refuse) == "a"
    assert remember("digests", "two", lambda: "b") == "b"
    assert remember("others", "one", lambda: "c") == "c"


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_a_damaged_file_is_as_none(cache: Path, text: str) -> None:
    """It is replaced."""
    cache.parent.mkdir(parents=True)
    cache.write_text(text, encoding="utf-8")
    assert remember("digests", "one", lambda: "a") == "a"
    assert remember("digests", "one", refuse) == "a"


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value is derived each time."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert remember("digests", "one", lambda: "a") == "a"
    assert remember("digests", "one", lambda: "b") == "b"


def test_the_oldest_entries_go(cache: Path) -> None:
    """The file is bounded."""
    for number in range(KEPT + 3):
        remember("digests", str(number), lambda: "a")
    assert len(json.loads(cache.read_text(encoding="utf-8"))) == KEPT
    assert remember("digests", str(KEPT + 2), refuse) == "a"
    assert remember("digests", "0", lambda: "again") == "again"

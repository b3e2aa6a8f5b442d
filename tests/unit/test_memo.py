"""The cache from one command to the next gives correct values, and its loss does no harm."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from marquee import memo
from marquee.memo import recall, remember, remember_tables


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a kind of value, in a cache folder that does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "marquee" / "digests.jsonl"


def forget() -> None:
    """Make the next call read the files again, as another process does."""
    memo._loaded.clear()


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


@pytest.mark.usefixtures("cache")
def test_the_oldest_entries_go() -> None:
    """Beyond twice the entries to keep, the oldest go: of 7 with 3 to keep, the first 4."""
    for number in range(7):
        remember("digests", str(number), lambda: "a", kept=3)
    assert [recall("digests", str(number)) for number in range(7)] == [None] * 4 + ["a"] * 3
    forget()
    assert [recall("digests", str(number)) for number in range(7)] == [None] * 4 + ["a"] * 3


def test_a_torn_line_spares_the_others(cache: Path) -> None:
    """Of a file whose last line is torn, the lines before it count, and so does one that is added after it."""
    remember("digests", "one", lambda: "a")
    remember("digests", "two", lambda: "b")
    cache.write_text(cache.read_text(encoding="utf-8")[:-5], encoding="utf-8")
    forget()
    assert remember("digests", "one", refuse) == "a"
    assert remember("digests", "two", lambda: "c") == "c"
    forget()
    assert [recall("digests", key) for key in ("one", "two")] == ["a", "c"]


# Tables, of which a kind's are in one file


def numbers(*values: int) -> pa.Table:
    """Return a table of one column."""
    return pa.table({"number": pa.array(values, pa.int64())})


def remembered(keys: Sequence[str], tables: Mapping[str, pa.Table]) -> tuple[list[list[int]], list[str]]:
    """Return the values of the table of each key, and the keys whose tables were derived, from the tables given."""
    derived: list[str] = []

    def derive(places: list[int]) -> list[pa.Table]:
        derived.extend(keys[place] for place in places)
        return [tables[keys[place]] for place in places]

    found = remember_tables("numbers", keys, numbers().schema, derive)
    return [table["number"].to_pylist() for table in found], derived


@pytest.mark.usefixtures("cache")
def test_tables_are_derived_once() -> None:
    """Only tables that are not remembered are derived, also of no rows, and the order is that of the keys."""
    tables = {"a": numbers(1, 2), "b": numbers(), "c": numbers(3)}
    assert remembered(["a", "b"], tables) == ([[1, 2], []], ["a", "b"])
    assert remembered(["c", "b", "a"], tables) == ([[3], [], [1, 2]], ["c"])
    assert remembered(["a", "c"], tables) == ([[1, 2], [3]], [])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: data[:-9], id="torn"),
        pytest.param(lambda data: data[:-400] + bytes([data[-400] ^ 1]) + data[-399:], id="another bit"),
        pytest.param(lambda _: b"", id="empty"),
    ],
)
def test_damaged_tables_are_as_none(cache: Path, change: Callable[[bytes], bytes]) -> None:
    """A file that is torn, or of which a byte is another, is as none."""
    file = cache.with_name("numbers.arrow")
    assert remembered(["a"], {"a": numbers(1)}) == ([[1]], ["a"])
    file.write_bytes(change(file.read_bytes()))
    assert remembered(["a"], {"a": numbers(1)}) == ([[1]], ["a"])


@pytest.mark.usefixtures("cache")
def test_oldest_tables_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is limited in its tables; those that were asked for last stay."""
    monkeypatch.setattr("marquee.memo.TABLES", 2)
    tables = {key: numbers(ord(key)) for key in "abc"}
    for key in "abc":
        remembered([key], tables)
    assert remembered(["b", "c"], tables)[1] == []
    assert remembered(["a"], tables)[1] == ["a"]

"""Writing a simulation: once, after a failure, late files, the busy hour, and wrong settings."""

import gzip
import hashlib
import tracemalloc
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import MARKER, add_late_files, simulate, simulate_hour
from marquee.calendar import hour
from marquee.errors import ConfigError, TryAgainError
from marquee.storage.base import ObjectInfo
from marquee.storage.local import LocalStore

SETTINGS = SimulateSettings(days=1, events_per_day=2_000)


class FailingStore(LocalStore):
    """A folder that fails after a number of writes."""

    def __init__(self, root: Path, puts: int) -> None:
        super().__init__(root)
        self.puts = puts

    def put(self, key: str, data: bytes, *, private: bool = False, durable: bool = True) -> ObjectInfo:
        """Write an object, or fail."""
        if self.puts == 0:
            message = f"{key}: no more"
            raise TryAgainError(message)
        self.puts -= 1
        return super().put(key, data, private=private, durable=durable)


def content(store: LocalStore) -> dict[str, bytes]:
    """Return all objects."""
    return {info.key: store.get(info.key) for info in store.list()}


def test_a_second_call_writes_nothing(lake: LocalStore) -> None:
    """A second call returns the same counts and writes nothing."""
    first = simulate(SETTINGS, lake)
    before = list(lake.list())
    second = simulate(SETTINGS, lake)
    assert first.written == first.files - first.late_files > 0
    assert (second.written, second.events, second.files) == (0, first.events, first.files)
    assert list(lake.list()) == before


def test_progress_adds_up_to_the_events(lake: LocalStore) -> None:
    """The callback gets each event once."""
    heard: list[int] = []
    assert simulate(SETTINGS, lake, heard.append).events == sum(heard)


@pytest.mark.parametrize("puts", [0, 1, 50], ids=["before the first file", "after one", "half way"])
def test_a_run_that_failed_is_completed(tmp_path: Path, puts: int) -> None:
    """A run after a failed run writes the missing files only, and ends with the same objects."""
    simulate(SETTINGS, LocalStore(tmp_path / "whole"))
    with pytest.raises(TryAgainError):
        simulate(SETTINGS, FailingStore(tmp_path / "torn", puts))
    store = LocalStore(tmp_path / "torn")
    there = list(store.list("topics/"))
    summary = simulate(SETTINGS, store)
    assert len(there) == puts
    assert summary.written == summary.files - summary.late_files - puts
    assert content(store) == content(LocalStore(tmp_path / "whole"))
    assert set(there) <= set(store.list("topics/"))


def test_a_damaged_file_of_a_run_that_failed_is_replaced(tmp_path: Path) -> None:
    """A damaged file of a failed run is written again."""
    with pytest.raises(TryAgainError):
        simulate(SETTINGS, FailingStore(tmp_path, 20))
    store = LocalStore(tmp_path)
    first = next(iter(store.list("topics/")))
    whole = store.get(first.key)
    store.put(first.key, whole[:-1] + b"?")
    simulate(SETTINGS, store)
    assert store.get(first.key) == whole


def test_other_settings_on_a_used_folder_are_an_error(lake: LocalStore) -> None:
    """Other settings for a used folder are an error that says what differs, and nothing is written."""
    simulate(SETTINGS, lake)
    before = content(lake)
    with pytest.raises(ConfigError, match="seed was 1, now 2"):
        simulate(SETTINGS.model_copy(update={"seed": 2}), lake)
    assert content(lake) == before


def test_other_settings_on_a_half_made_folder_are_an_error(tmp_path: Path) -> None:
    """Other settings for a folder of an unfinished run are an error."""
    with pytest.raises(TryAgainError):
        simulate(SETTINGS, FailingStore(tmp_path, 3))
    with pytest.raises(ConfigError, match="events_per_day was 2000, now 3000"):
        simulate(SETTINGS.model_copy(update={"events_per_day": 3_000}), LocalStore(tmp_path))


def test_a_folder_with_events_of_others_is_refused(lake: LocalStore) -> None:
    """A folder with events that simulate did not write is refused."""
    lake.put("topics/plays/year=2026/month=01/day=05/hour=00/plays+0+0000000000.json", b"{}\n")
    with pytest.raises(ConfigError, match="simulate did not write"):
        simulate(SETTINGS, lake)
    assert lake.head(MARKER) is None


def test_late_files_come_beside_the_others(lake: LocalStore) -> None:
    """The late file of the first day is added once, with the offsets that were left free for it."""
    simulate(SETTINGS, lake)
    before = content(lake)
    assert add_late_files(SETTINGS, lake).written == 1
    after = content(lake)
    (late,) = after.keys() - before.keys()
    assert late.startswith("topics/plays/year=2026/month=01/day=05/hour=14/plays+")
    _, partition, start = late.removesuffix(".json.gz").split("+")
    following = int(start) + gzip.decompress(after[late]).count(b"\n")
    assert any(key.endswith(f"/plays+{partition}+{following:010}.json.gz") for key in before)
    assert before == {key: data for key, data in after.items() if key != late}
    assert add_late_files(SETTINGS, lake).written == 0


def test_late_files_need_the_others(lake: LocalStore) -> None:
    """Late files without a complete simulation of the same settings are an error."""
    with pytest.raises(ConfigError, match="Run simulate without --late first"):
        add_late_files(SETTINGS, lake)


def test_the_busy_hour_has_as_many_events_as_asked_for(lake: LocalStore) -> None:
    """The busy hour has the requested number of events in two files for each partition, and is written once."""
    settings = SimulateSettings(partitions=3)
    summary = simulate_hour(settings, lake, hour("2026-01-05T13"), 5_000)
    files = {info.key: gzip.decompress(lake.get(info.key)) for info in lake.list("topics/")}
    assert (summary.events, summary.files, len(files)) == (5_000, 6, 6)
    assert sum(data.count(b"\n") for data in files.values()) == 5_000 + summary.duplicates + summary.malformed
    assert {key.split("/plays+")[0] for key in files} == {"topics/plays/year=2026/month=01/day=05/hour=13"}
    assert simulate_hour(settings, lake, hour("2026-01-05T13"), 5_000).written == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"countries": ("US", "KR", "JP", "ATLANTIS")}, "unknown: .'ATLANTIS'.", id="unknown country"),
        pytest.param({"countries": ("US", "KR")}, "missing: .'JP'.", id="without Japan"),
        pytest.param({"days": 0}, "greater than or equal to 1", id="no days"),
        pytest.param({"event_per_day": 1_000}, "Extra inputs", id="misspelt"),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, object], message: str) -> None:
    """Wrong settings are refused with a message that says what is wrong."""
    with pytest.raises(ValidationError, match=message):
        SimulateSettings.model_validate(values)


def test_countries_may_be_fewer(lake: LocalStore) -> None:
    """Viewers live in the chosen countries only."""
    simulate(SETTINGS.model_copy(update={"countries": ("US", "KR", "JP")}), lake)
    lines = b"".join(gzip.decompress(lake.get(info.key)) for info in lake.list("topics/"))
    assert lines.count(b'"country":"US"') > lines.count(b'"country":"JP"') > 0
    assert b'"country":"DE"' not in lines


def test_the_window_follows_from_its_start_and_length() -> None:
    """The first day of the schedule and the end of two shows follow from the start and the length of the simulation."""
    settings = SimulateSettings(start=date(2026, 1, 5), days=7)
    assert (settings.schedule_from, settings.ends_on, settings.last_day) == (
        date(2025, 12, 8),
        date(2026, 1, 8),
        date(2026, 1, 11),
    )


def test_a_seed_gives_the_same_bytes_as_ever(lake: LocalStore) -> None:
    """Two days of a fixed seed have the bytes that they have had since the format was made, whatever the chunks."""
    settings = SimulateSettings(seed=7, start=date(2026, 1, 1), days=2, events_per_day=3_000)
    simulate(settings, lake)
    digest = hashlib.sha256(b"".join(key.encode() + data for key, data in sorted(content(lake).items())))
    assert digest.hexdigest() == "065d6c25dcfa50060dd72d68bc60163ce28e064e253dcccffb5fa640dcd705fc"


def test_small_chunks_and_pieces_give_the_same_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size of the parts that are in memory changes no line; a file that is compressed in pieces is a whole one."""
    simulate(SETTINGS, LocalStore(tmp_path / "usual"))
    small_parts(monkeypatch, chunk=7, whole=1_000)
    simulate(SETTINGS, LocalStore(tmp_path / "small"))
    usual, small = (content(LocalStore(tmp_path / name)) for name in ("usual", "small"))
    assert usual.pop(MARKER) == small.pop(MARKER)
    assert {key: gzip.decompress(data) for key, data in small.items()} == {
        key: gzip.decompress(data) for key, data in usual.items()
    }
    assert small != usual


def test_memory_does_not_grow_with_the_events_of_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With five times the events a day, the peak of memory grows by less than 8 bytes for each further event."""
    small_parts(monkeypatch, chunk=1_000, whole=1 << 16)
    simulate(SETTINGS, LocalStore(tmp_path / "first"))  # fills caches
    few, many = (peak_of(LocalStore(tmp_path / str(events)), events) for events in (10_000, 50_000))
    assert many - few < 40_000 * 8


def small_parts(monkeypatch: pytest.MonkeyPatch, chunk: int, whole: int) -> None:
    """Let the simulation hold only a few rows and lines at a time."""
    monkeypatch.setattr("jobs.simulate.scratch.CHUNK", chunk)
    monkeypatch.setattr("jobs.simulate.events.CHUNK", chunk)
    monkeypatch.setattr("jobs.simulate.events.WHOLE", whole)


def peak_of(store: LocalStore, events: int) -> int:
    """Return the bytes that a simulation of a day allocates at most, in Python and NumPy."""
    tracemalloc.start()
    try:
        simulate(SimulateSettings(days=1, events_per_day=events), store)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

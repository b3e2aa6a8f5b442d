"""The work of an hour's rollup, counted: no line, user or object takes more of it than it needs."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.rollup import parsing, passes
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.storage.local import LocalStore
from tests.helpers_rollup import line, new_world

OBJECTS, LINES, USERS = 4, 250, 10
ODD = (b"no JSON", line(event_id="odd", watched_seconds="60"), b"[" + line(event_id="listed") + b"]")


def counting(monkeypatch: pytest.MonkeyPatch, where: object, name: str, calls: Counter[str], key: str) -> None:
    """Count the calls of a function."""
    function: Callable[..., Any] = getattr(where, name)

    def counted(*arguments: Any, **named: Any) -> Any:
        calls[key] += 1
        return function(*arguments, **named)

    monkeypatch.setattr(where, name, counted)


def test_only_odd_lines_leave_the_fast_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each object is fetched once and each user hashed once; of 1,012 lines only the odd 12 reach SQL and referee."""
    calls: Counter[str] = Counter()
    monkeypatch.setattr(passes, "_idle", [])
    counting(monkeypatch, LocalStore, "fetch", calls, "objects")
    for module in (passes, parsing):
        counting(monkeypatch, module, "validate", calls, "referee")
    read = passes.Pass.read

    def counted(one: passes.Pass, begin: int, end: int) -> passes.Passed:
        passed = read(one, begin, end)
        calls["taken"] += passed.events.num_rows
        calls["left"] += len(passed.others)
        return passed

    monkeypatch.setattr(passes.Pass, "read", counted)
    world = new_world(tmp_path)
    for number in range(OBJECTS):
        usual = (line(event_id=f"{number}-{one}", user_id=f"u{one % USERS}") for one in range(LINES))
        world.put(f"plays+{number}+0.json.gz", *usual, *ODD)

    report = world.run(engine=LocalEngine(EngineOptions(workers=1, memory_mb=256)))

    assert (report.changed, report.failures) == (1, 0)
    assert (calls["objects"], calls["taken"], calls["left"]) == (OBJECTS, OBJECTS * LINES, OBJECTS * len(ODD))
    # One line for the shape of all others; an odd line may be asked for its shape, and is judged.
    assert calls["referee"] <= 1 + 2 * OBJECTS * len(ODD)
    (kept,) = passes._idle
    assert kept._users.users == USERS  # one of them is the user of the odd lines, u1

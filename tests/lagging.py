"""A store whose listings lag behind: each listing of a prefix shows what the listing before it should have shown."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from marquee.storage.base import ObjectInfo


def lag_behind(monkeypatch: pytest.MonkeyPatch, kind: type[Any], below: str = "") -> Callable[[], None]:
    """Make the listings below a prefix lag in a class of stores; return a function that brings them up to date."""
    real = kind.list
    last: dict[tuple[str, str], list[ObjectInfo]] = {}

    def lagging(self: Any, prefix: str = "") -> Iterator[ObjectInfo]:
        now = list(real(self, prefix))
        if not prefix.startswith(below):
            yield from now
            return
        shown = last.get((self.url, prefix), [])
        last[self.url, prefix] = now
        yield from shown

    monkeypatch.setattr(kind, "list", lagging)
    return lambda: monkeypatch.setattr(kind, "list", real)

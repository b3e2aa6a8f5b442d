"""Tests of tests/unit on a folder, on DuckDB and in this process, for tests/integration to run on servers."""

from collections.abc import Collection
from inspect import signature
from types import ModuleType


def suite_with(fixtures: Collection[str], *modules: ModuleType) -> dict[str, object]:
    """Return the tests of modules that use one of these fixtures, and the fixtures that the modules define."""
    found: dict[str, object] = {}
    for module in modules:
        for name, value in vars(module).items():
            if name in fixtures or (name.startswith("test_") and {*signature(value).parameters} & {*fixtures}):
                assert name not in found, f"two tests are called {name}: the second would hide the first"
                found[name] = value
    return found

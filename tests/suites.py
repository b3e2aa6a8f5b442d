"""What tests/unit has on a folder, on DuckDB and in this process is tested in tests/integration on servers, too."""

from collections.abc import Collection
from inspect import signature
from types import ModuleType


def suite_of(fixtures: Collection[str], *modules: ModuleType) -> dict[str, object]:
    """Return the tests of modules that ask for one of these fixtures, and those of the fixtures that modules define."""
    found: dict[str, object] = {}
    for module in modules:
        for name, value in vars(module).items():
            if name in fixtures or (name.startswith("test_") and {*signature(value).parameters} & {*fixtures}):
                assert name not in found, f"two tests are called {name}: the second would hide the first"
                found[name] = value
    return found

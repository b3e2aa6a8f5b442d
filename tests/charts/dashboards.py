"""The dashboards as files, and their queries in the form in which Grafana sends them."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.charts.rendering import CHARTS

FILES = sorted((CHARTS / "marquee" / "dashboards").glob("*.json"))
NAMES = [path.stem for path in FILES]

Dashboard = dict[str, Any]
Panel = dict[str, Any]

BUILT_IN = {"__rate_interval": "5m", "__from": "1767571200000", "__to": "1769904000000"}
"""Built-in variables of Grafana; the times are 2026-01-05 and 2026-02-01, in milliseconds."""
_VARIABLE = re.compile(r"\$\{(\w+)(?::([\w:]+))?\}|\$(\w+)")


def dashboard(name: str) -> Dashboard:
    """Return a dashboard."""
    return dict(json.loads((CHARTS / "marquee" / "dashboards" / f"{name}.json").read_text()))


def panels(found: Dashboard) -> list[Panel]:
    """Return the panels of a dashboard, without the rows that group them."""
    return [panel for panel in found["panels"] if panel["type"] != "row"]


def queries(found: Dashboard) -> Iterator[tuple[str, str]]:
    """Yield (title of the panel, query) of each query."""
    for panel in panels(found):
        for target in panel.get("targets", []):
            yield panel["title"], target.get("expr") or target["rawSql"]


def variables_in(text: str) -> set[str]:
    """Return the variables that a text names."""
    return {match[1] or match[3] for match in _VARIABLE.finditer(text)}


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """Return a query with its variables filled in, in the forms that the dashboards use."""
    return _VARIABLE.sub(lambda match: _form(match[2], {**values, **BUILT_IN}[match[1] or match[3]]), text)


def _form(name: str | None, value: str) -> str:
    if name == "sqlstring":
        return "'" + value.replace("'", "''") + "'"
    if name == "date:seconds":
        return str(int(value) // 1000)
    return value

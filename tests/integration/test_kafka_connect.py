"""The layout of the configurations in docs/kafka-connect.md can be read with the settings shown there."""

import json
import re
from pathlib import Path

import pytest

from jobs.cli.__main__ import main
from jobs.rollup.settings import RollupOptions, RollupSettings
from marquee.calendar import hour
from marquee.lake.markers import Markers
from marquee.settings.loading import load_settings
from marquee.settings.names import CONFIG
from marquee.storage.local import LocalStore

PAGE = (Path(__file__).parents[2] / "docs" / "kafka-connect.md").read_text()
JODA = {"YYYY": "{year}", "MM": "{month}", "dd": "{day}", "HH": "{hour}"}
"""The meaning of the connector's pattern letters."""
HOUR = hour("2026-01-05T13")


def block(language: str, after: str) -> str:
    """Return the first code block of a language below a heading."""
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", PAGE.split(f"## {after}\n")[1], re.DOTALL)
    return found[0]


def connector(after: str) -> dict[str, str]:
    """Return the properties of the connector shown below a heading."""
    lines = [line for line in block("properties", after).splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def path_of(properties: dict[str, str]) -> str:
    """Return the folder of an hour's files in the connector's configuration, as a template of Marquee's."""
    path = re.sub("|".join(JODA), lambda found: JODA[found[0]], properties["path.format"].replace("'", ""))
    return f"{properties['topics.dir']}/{{topic}}/{path}/"


def test_every_line_of_the_configuration_has_its_reason() -> None:
    """Every property has a comment above it, and every comment has a property below it."""
    groups = re.split(r"^#.*\n", block("properties", "The configuration"), flags=re.MULTILINE)
    assert groups[0] == ""
    assert all(group.strip() for group in groups[1:])


def test_configuration_makes_the_default_layout() -> None:
    """The topic, the folders and the time field equal the defaults of the settings, and hours are in UTC."""
    shown = connector("The configuration")
    fields = {name: one.default for name, one in RollupOptions.model_fields.items()}
    assert shown["topics"] == fields["topic"]
    assert path_of(shown) == fields["path"]
    assert shown["timestamp.field"] == fields["fields"].received_at
    assert (shown["timezone"], shown["timestamp.extractor"]) == ("UTC", "RecordField")
    assert shown["partition.duration.ms"] == shown["rotate.interval.ms"] == str(60 * 60 * 1000)


def test_example_of_another_producer_is_rolled_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of the other producer's example are valid, match its connector, and accept its line as a play."""
    lake, raw, config = LocalStore(tmp_path / "lake"), LocalStore(tmp_path / "raw"), tmp_path / "marquee.toml"
    config.write_text(block("toml", "Another producer"))
    for name, value in {"LAKE": lake.url, "RAW": raw.url, "ROLLUP__VIEWER_KEY": "0123456789abcdef"}.items():
        monkeypatch.setenv(f"MARQUEE_{name}", value)
    monkeypatch.setenv(CONFIG, str(config))
    properties = connector("Another producer")
    options = load_settings(RollupSettings).rollup
    assert options.layout.template == path_of(properties).replace("{topic}", properties["topics"])
    assert properties["timestamp.field"] == options.fields.received_at

    line = json.dumps(json.loads(block("json", "Another producer")))
    folder = re.findall(r"`s3://ingest/(\S+)`", PAGE)[0]
    raw.put(f"{folder}heartbeats+0+0000000000.json", line.encode())
    assert main(["rollup", str(HOUR)]) == 0
    (marker,) = Markers(lake).of("rollup").values()
    counts = {name: marker.counts[name] for name in ("rows_in", "rows_out", "duplicates", "rejects", "objects")}
    assert (marker.period, counts) == (
        str(HOUR),
        {"rows_in": 1, "rows_out": 1, "duplicates": 0, "rejects": {}, "objects": {"read": 1}},
    )

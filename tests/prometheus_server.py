"""A Prometheus server for tests, on loopback: it scrapes given targets, and answers queries in the way of Grafana."""

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ports import free_port

PATIENCE_S = 60.0
"""The longest time for the start and for the first scrape and evaluation."""


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    url: str
    rules_file: Path

    def load(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Replace the rules; rules that remain keep the time since which they hold."""
        _write_rules(self.rules_file, rules)
        again = urllib.request.Request(f"{self.url}/-/reload", method="POST")  # noqa: S310 - our own server
        urllib.request.urlopen(again).close()  # noqa: S310 - our own server

    def ask(self, query: str) -> list[Any]:
        """Return the series of a query now."""
        return list(self._get("query", query=query)["result"])

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules with their states."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def wait_for(self, query: str) -> None:
        """Wait until a query has a result."""
        patience_ends = time.monotonic() + PATIENCE_S
        while not self._gives(query):
            if time.monotonic() > patience_ends:
                message = f"after {PATIENCE_S:.0f} s Prometheus gives nothing for {query}"
                raise TimeoutError(message)
            time.sleep(0.1)  # between two looks

    def _gives(self, query: str) -> bool:
        try:
            return bool(self.ask(query))
        except (urllib.error.URLError, ConnectionError):
            return False  # it has not started yet

    def _get(self, path: str, **arguments: str) -> dict[str, Any]:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url) as answer:  # noqa: S310 - our own server
            return dict(json.load(answer)["data"])


@contextmanager
def prometheus_server(
    folder: Path,
    targets: Sequence[str],
    rules: Sequence[Mapping[str, Any]] = (),
    discovered: Sequence[Mapping[str, Any]] = (),
) -> Iterator[Prometheus]:
    """Run a server until the end of the block that scrapes and evaluates rules each second.

    ``discovered`` are scrape configurations that find their targets themselves.
    """
    folder.mkdir(parents=True)
    rules_file = folder / "rules.json"
    _write_rules(rules_file, rules)
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules_file)],
        "scrape_configs": [
            {"job_name": "marquee", "static_configs": [{"targets": list(targets)}]},
            *discovered,
        ],
    }
    (folder / "prometheus.json").write_text(json.dumps(config))
    address = f"127.0.0.1:{free_port()}"
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.json'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--web.enable-lifecycle",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            prometheus = Prometheus(f"http://{address}", rules_file)
            prometheus.wait_for("vector(1)")
            yield prometheus
        finally:
            server.terminate()


def _write_rules(file: Path, rules: Sequence[Mapping[str, Any]]) -> None:
    file.write_text(json.dumps({"groups": [{"name": "all", "rules": list(rules)}]}))

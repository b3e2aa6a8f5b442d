"""The HTTP server of the exporter."""

import urllib.error
import urllib.request

from prometheus_client import CollectorRegistry

from marquee.storage.local import LocalStore
from marquee.telemetry.metrics import Labelled
from marquee.telemetry.server import MetricsServer, serving
from tests.unit.test_exporter import Clock, exporter_of, telling


def ask(url: str) -> tuple[int, str]:
    """Return status and body of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_and_checks_are_answered(lake: LocalStore) -> None:
    """The server answers /metrics with the environment, checks with 200 or 503 and a reason, other paths with 404."""
    exporter = exporter_of(lake, Clock(), telling("mart", 1))
    registry = CollectorRegistry()
    registry.register(Labelled(exporter, environment="dev"))
    checks = {"/healthz": exporter.liveness, "/readyz": exporter.readiness}
    with serving(MetricsServer("127.0.0.1", 0, registry, checks)) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        assert ask(f"{url}/readyz") == (503, "the first refresh is running\n")
        exporter.refresh()
        assert ask(f"{url}/readyz") == ask(f"{url}/healthz") == (200, "ok\n")
        status, text = ask(f"{url}/metrics?name=x")
        assert status == 200
        assert 'marquee_dataset_bytes{dataset="mart",environment="dev"} 1.0\n' in text
        assert ask(f"{url}/") == (404, "No such path. Use one of /metrics, /healthz, /readyz\n")

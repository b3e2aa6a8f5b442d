"""Publish the state of the data to Prometheus, from the lake's markers and the mart's ledger."""

import logging
import sys
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from jobs.exporter.collectors import make_collectors
from jobs.exporter.exporter import Exporter
from jobs.exporter.settings import DEFAULT_PORT, ExporterSettings
from jobs.registry import PIPELINE
from marquee.lake.markers import Markers
from marquee.runs.arguments import Parser
from marquee.runs.command import guarded, print_settings, wait_for_signal
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names
from marquee.telemetry.metrics import Labelled
from marquee.telemetry.server import MetricsServer, serving
from marquee.version import __version__

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    parser = Parser("python -m jobs.exporter", __doc__, epilog=None)
    parser.add_argument(
        "--config", action="store_true", help="list the settings in force, with secrets masked, and exit"
    )
    parser.add_argument("--version", action="version", version=f"marquee {__version__}")
    given = parser.parse_args(arguments)

    def command() -> int:
        if given.config:
            print_settings([*(job.settings for job in PIPELINE), ExporterSettings])
            return 0
        check_names()
        export(load_settings(ExporterSettings))
        return 0

    return guarded(command, alone=arguments is None)


def export(settings: ExporterSettings) -> None:
    """Refresh in the background and serve scrapes, until a signal ends the program."""
    markers = Markers(settings.store)
    exporter = Exporter(make_collectors(settings, markers), markers, settings.exporter.stuck_after_s)
    registry = CollectorRegistry()
    registry.register(Labelled(exporter, environment=settings.environment))
    address, port = settings.metrics.address, settings.metrics.port or DEFAULT_PORT
    checks = {"/healthz": exporter.liveness, "/readyz": exporter.readiness}
    with (
        serving(MetricsServer(address, port, registry, checks)),
        exporter.refreshing(settings.exporter.interval_s),
    ):
        log.info("listening at %s:%s", address, port, extra={"parts": settings.exporter.parts})
        wait_for_signal()


if __name__ == "__main__":
    sys.exit(main())

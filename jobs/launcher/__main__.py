"""Run the pending periods of a Spark stage as a SparkApplication, from the pod of a Job, and wait for its end.

If nothing is pending, it ends at once, without a call to the cluster. With ``engine.kind`` = ``auto`` it makes the
periods itself if that is expected to be faster than to start Spark.
"""

import logging
import sys
from collections.abc import Sequence

from jobs.launcher.application import Manifest, Owner, cores_of
from jobs.launcher.check import read_application
from jobs.launcher.plan import plan, to_arguments
from jobs.launcher.settings import LauncherOptions, LauncherSettings
from jobs.registry import JOBS, Job, job_named
from marquee.calendar import Span
from marquee.runs.arguments import Parser, add_period_arguments, read_span
from marquee.runs.command import guarded, run_over, summary_of
from marquee.runs.load import decide
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names
from marquee.settings.sections import EngineSettings

log = logging.getLogger("jobs.launcher")

STOP_S = 20.0
"""Seconds to stop in after a signal: more than the deletion of the application takes, less than a pod's grace."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    parser = Parser("python -m jobs.launcher", __doc__)
    parser.add_argument("stage", choices=[job.name for job in JOBS if job.on_spark], help="the stage to run")
    add_period_arguments(parser)
    given = parser.parse_args(arguments)
    span = read_span(parser, given)
    return guarded(lambda: launch(given.stage, span, force=given.force), alone=arguments is None, stop_s=STOP_S)


def launch(stage: str, span: Span, *, force: bool) -> int:
    """Plan the stage's next batch and run it; return the exit code."""
    check_names()
    job = job_named(stage)
    own, options = load_settings(job.settings).patient(), load_settings(LauncherSettings).launcher
    template = read_application(options)
    asked, force = own.asked(span, force=force)
    batch = plan(job, own, asked, force=force, most=options.max_periods)
    if batch is None:
        return 0
    arguments = to_arguments(batch.span, force=force)
    log.info("%s %s: %d periods now, %d left for the next run", stage, " ".join(arguments), batch.due, batch.left)
    engine = own.engine
    if isinstance(engine, EngineSettings) and engine.kind == "auto":
        choice = decide(stage, engine, batch.load, cores_of(template))
        if not choice.on_spark:
            return _run_here(job, batch.span, choice.memory_mb, force=force)
    return _run(options, Owner(stage, options.job_name, options.job_uid), template, arguments)


def _run_here(job: Job, span: Span, memory_mb: int, *, force: bool) -> int:
    """Make the periods of a span in this pod; return the exit code of the stage."""
    outcome = run_over(
        job.settings, job.run, job.command, span, force=force, engine={"kind": "local", "memory_mb": memory_mb}
    )
    log.info("%s", summary_of(job.command, outcome))
    return outcome.exit_code


def _run(options: LauncherOptions, owner: Owner, template: Manifest, arguments: Sequence[str]) -> int:
    # Imported only when it is needed: the client takes two seconds and 40 MB to load.
    from jobs.launcher.cluster import Cluster  # noqa: PLC0415
    from jobs.launcher.follow import Launch  # noqa: PLC0415

    cluster = Cluster(options.namespace, options.request_timeout_s)
    return Launch(cluster, options, owner).run(template, arguments)


if __name__ == "__main__":
    sys.exit(main())

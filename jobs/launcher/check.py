"""Checks that a launch can work: its settings, and its rights in the cluster, without changing anything there."""

from contextlib import suppress

from jobs.launcher.application import GROUP, KIND, VERSION, Manifest, Owner, fill_in, read_template
from jobs.launcher.settings import LauncherOptions, LauncherSettings
from marquee.errors import ConfigError
from marquee.settings.loading import load_settings


def read_application(options: LauncherOptions) -> Manifest:
    """Read the template of the application; ConfigError if it is missing or is not a SparkApplication."""
    try:
        text = options.application.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"MARQUEE_LAUNCHER__APPLICATION={str(options.application)!r} cannot be read: {error}"
        raise ConfigError(message) from error
    return read_template(text, options.application)


def check_launch(stage: str) -> str:
    """Try all calls of a launch without creating anything; return the finding.

    A dry run tests the creation: the kind of object, the right to create it, and the admission checks, which are its
    schema, the operator's webhook and quotas.
    """
    from jobs.launcher.cluster import Cluster, NotThereError  # noqa: PLC0415 - as slow as in the launcher

    options = load_settings(LauncherSettings).launcher
    owner = Owner(stage, options.job_name, options.job_uid)
    cluster = Cluster(options.namespace, options.request_timeout_s)
    application = cluster.create(fill_in(read_application(options), owner, [], 0), dry_run=True)
    cluster.application(application.name)
    cluster.pod(application.driver_pod)
    cluster.events(application.name)
    with suppress(NotThereError):
        cluster.log_tail(application.driver_pod, 1)
    cluster.delete(application)
    return (
        f"{options.namespace}: a {KIND} ({GROUP}/{VERSION}) of {stage} is accepted, and could be followed and deleted"
    )

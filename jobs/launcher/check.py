"""Whether a launch would do: what it is told, and, with nothing changed in the cluster, what it may do there."""

from contextlib import suppress

from jobs.launcher.application import GROUP, KIND, VERSION, Manifest, Owner, fill_in, read_template
from jobs.launcher.settings import LauncherOptions, LauncherSettings
from marquee.errors import ConfigError
from marquee.settings.loading import load_settings


def read_application(options: LauncherOptions) -> Manifest:
    """Read the template of the application; ConfigError if it is not there, or is none."""
    try:
        text = options.application.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"MARQUEE_LAUNCHER__APPLICATION={str(options.application)!r} cannot be read: {error}"
        raise ConfigError(message) from error
    return read_template(text, options.application)


def check_launch(stage: str) -> str:
    """Ask the cluster for all that a launch does, but that nothing is created; return what was found.

    That it is created is tried by a dry run, which takes the kind of object, the right to create it, and whatever
    looks at one before it is stored: its schema, the operator's webhook, quotas.
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

"""Checks that a launch can work: its settings, its rights in the cluster, and that the operator starts a driver."""

from contextlib import suppress
from typing import TYPE_CHECKING

from jobs.launcher.application import GROUP, KIND, VERSION, Manifest, Owner, fill_in, read_template
from jobs.launcher.settings import LauncherOptions, LauncherSettings
from marquee.errors import ConfigError, TryAgainError
from marquee.settings.loading import load_settings

if TYPE_CHECKING:
    from jobs.launcher.cluster import Cluster

TRIAL_S = 180.0
"""Seconds in which the driver of a trial must start, and as many for its end: `helm test` waits five minutes."""
NOTICED_S = 90.0
"""Seconds in which an operator that runs has long given an application a state."""
TRIAL = ("--config",)
"""Arguments of a trial, with which a stage lists its settings and ends, without an executor."""


def read_application(options: LauncherOptions) -> Manifest:
    """Read the template of the application; ConfigError if it is missing or is not a SparkApplication."""
    try:
        text = options.application.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"MARQUEE_LAUNCHER__APPLICATION={str(options.application)!r} cannot be read: {error}"
        raise ConfigError(message) from error
    return read_template(text, options.application)


def check_launch(stage: str) -> str:
    """Try all calls of a launch, and run a driver that does nothing; return the finding. Nothing is left.

    A dry run comes first. It tests the kind of object, the right to create it, and the admission checks, which are its
    schema, the operator's webhook and quotas. The rest only a driver can tell: that the operator runs and watches this
    namespace, that the driver's pod fits into quotas and on a node, its image and its Secrets.
    """
    from jobs.launcher.cluster import Cluster, NotThereError  # noqa: PLC0415 - as slow as in the launcher

    options = load_settings(LauncherSettings).launcher
    owner = Owner(stage, options.job_name, options.job_uid, kind="Pod")
    cluster, template = Cluster(options.namespace, options.request_timeout_s), read_application(options)
    application = cluster.create(fill_in(template, owner, [], 0), dry_run=True)
    cluster.application(application.name)
    cluster.pod(application.driver_pod)
    cluster.events(application.name)
    with suppress(NotThereError):
        cluster.log_tail(application.driver_pod, 1)
    cluster.delete(application)
    _run_driver(cluster, options, owner, template)
    return f"{options.namespace}: a {KIND} ({GROUP}/{VERSION}) of {stage} was accepted, and its driver ran"


def _run_driver(cluster: "Cluster", options: LauncherOptions, owner: Owner, template: Manifest) -> None:
    """Run a trial's driver to its end and delete its application; an error says why it could not."""
    from jobs.launcher.follow import Launch  # noqa: PLC0415 - as slow as in the launcher

    startup_s = min(options.startup_deadline_s, TRIAL_S)
    limits = {"startup_deadline_s": startup_s, "deadline_s": startup_s + TRIAL_S}
    code = Launch(cluster, options.model_copy(update=limits), owner, noticed_s=NOTICED_S).run(template, TRIAL)
    found = cluster.application(fill_in(template, owner, TRIAL, 0)["metadata"]["name"])
    if found is not None:
        cluster.delete(found)
    if code:
        reason = (found and found.error) or "the log above has its last lines"
        message = f"the driver of a {KIND} that only lists the settings of {owner.stage} ended with {code}: {reason}"
        raise TryAgainError(message)

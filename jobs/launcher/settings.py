"""Settings of the launcher, in addition to those of the stage that it launches."""

from pathlib import Path

from pydantic import Field

from marquee.settings.sections import Section, StageSettings


class LauncherOptions(Section):
    """How to launch a Spark stage on Kubernetes. The chart sets these."""

    application: Path = Field(
        description="YAML or JSON file of the SparkApplication to create, without owner, run labels and arguments"
    )
    namespace: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="namespace to create it in")
    job_name: str = Field(min_length=1, description="name of this pod's Job, from the downward API")
    job_uid: str = Field(min_length=1, description="UID of this pod's Job, which owns the application")
    max_periods: int = Field(
        24, ge=1, description="maximum periods of one application; --force and retries of failed periods may exceed it"
    )
    poll_s: float = Field(10.0, gt=0, description="seconds between two polls of the application")
    request_timeout_s: float = Field(5.0, gt=0, description="seconds to wait for an answer from the cluster")
    startup_deadline_s: float = Field(
        300.0, gt=0, description="seconds in which the driver must start, or the application is deleted"
    )
    deadline_s: float = Field(
        10800.0, gt=0, description="seconds in which the application must end; less than the Job's own deadline"
    )
    log_lines: int = Field(50, ge=1, description="number of last lines of the driver's log to copy to the launcher's")


class LauncherSettings(StageSettings):
    """All settings of the launcher."""

    launcher: LauncherOptions

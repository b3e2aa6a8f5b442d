"""What the launcher is told, beside the settings of the stage that it launches."""

from pathlib import Path

from pydantic import Field

from marquee.settings.sections import Section, StageSettings


class LauncherOptions(Section):
    """How a Spark stage is launched on Kubernetes; the chart sets these."""

    application: Path = Field(
        description="YAML or JSON file of the SparkApplication to create, whole but for owner, run labels and arguments"
    )
    namespace: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="namespace to create it in")
    job_name: str = Field(min_length=1, description="name of the Job that this is a pod of, by the downward API")
    job_uid: str = Field(min_length=1, description="UID of that Job, by the downward API; the application is the Job's")
    max_periods: int = Field(
        24, ge=1, description="most periods of one application; more only by force, or to try failed ones again"
    )
    poll_s: float = Field(10.0, gt=0, description="seconds between two looks at the application")
    request_timeout_s: float = Field(5.0, gt=0, description="seconds to wait for an answer of the cluster")
    startup_deadline_s: float = Field(
        300.0, gt=0, description="seconds in which the driver must run; then the application is deleted"
    )
    deadline_s: float = Field(
        10800.0, gt=0, description="seconds in which the application must end; less than the Job has"
    )
    log_lines: int = Field(50, ge=1, description="last lines of the driver's log that are copied into the launcher's")


class LauncherSettings(StageSettings):
    """All settings of the launcher."""

    launcher: LauncherOptions

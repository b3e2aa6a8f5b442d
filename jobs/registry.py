"""Every settings class of Marquee, the stages', the launcher's and the exporter's: to check names by, and to list."""

from jobs.exporter.settings import ExporterSettings
from jobs.launcher.settings import LauncherSettings
from jobs.mart_load.settings import MartLoadSettings
from jobs.profile.settings import ProfileSettings
from jobs.rollup.settings import RollupSettings
from jobs.schedule_fetch.settings import ScheduleFetchSettings
from marquee.settings.sections import StageSettings

STAGES: tuple[type[StageSettings], ...] = (ScheduleFetchSettings, RollupSettings, ProfileSettings, MartLoadSettings)
SETTINGS: tuple[type[StageSettings], ...] = (*STAGES, ExporterSettings, LauncherSettings)

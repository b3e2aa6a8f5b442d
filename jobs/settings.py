"""Every settings class of Marquee, one a stage: for the check of misspelt names, and for ``marquee config``."""

from jobs.common.settings import StageSettings
from jobs.mart_load.settings import MartLoadSettings
from jobs.profile.settings import ProfileSettings
from jobs.rollup.settings import RollupSettings
from jobs.schedule_fetch.settings import ScheduleFetchSettings

SETTINGS: tuple[type[StageSettings], ...] = (ScheduleFetchSettings, RollupSettings, ProfileSettings, MartLoadSettings)

"""Settings of mart_load: those of the mart, in addition to those of every stage."""

from marquee.mart.settings import MartSettings
from marquee.settings.sections import StageSettings


class MartLoadSettings(StageSettings):
    """All settings of mart_load."""

    mart: MartSettings

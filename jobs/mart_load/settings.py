"""Settings of mart_load: the mart's, beside those of every stage."""

from marquee.mart.settings import MartSettings
from marquee.settings.sections import StageSettings


class MartLoadSettings(StageSettings):
    """All settings of mart_load."""

    mart: MartSettings

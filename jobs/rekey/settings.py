"""Settings of rekey: the viewer keys, and where it runs."""

from jobs.rollup.settings import RollupOptions
from marquee.settings.sections import ComputeSettings


class RekeySettings(ComputeSettings):
    """All settings of rekey."""

    rollup: RollupOptions

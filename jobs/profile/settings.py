"""Settings of profile: ``MARQUEE_PROFILE__…``, or ``[profile]`` in the file.

They are the thresholds of the definitions, which stand with their sources at the head of the ``.sql`` files. Each
stands in the markers of what it decides; a changed one makes those periods stale.
"""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from marquee.settings.sections import ComputeSettings, Section

BINGE5_EPISODES = 5
"""Episodes of a long binge; not a setting, since the column ``binge5_viewers`` names the number."""

# A decimal, not a float: 0.9 of 10 seconds has to be 9 exactly.
Share = Annotated[Decimal, Field(gt=0, le=1, max_digits=4, decimal_places=3)]


class ProfileOptions(Section):
    """The thresholds of the audience definitions."""

    reach_seconds: int = Field(
        120, ge=1, description="seconds of a show from which a viewer is reached by it, or active at all"
    )
    near_sole_share: Share = Field(
        Decimal("0.9"), description="share of a viewer's seconds from which a show is nearly their only one"
    )
    multilingual_share: Share = Field(
        Decimal("0.1"), description="share of a multilingual viewer's seconds in each of two languages"
    )
    multilingual_seconds: int = Field(
        1800, ge=1, description="seconds of a multilingual viewer in each of two languages"
    )
    loyal_share: Share = Field(
        Decimal("0.5"),
        description="share of a period's weeks (days, of a week) in which a loyal viewer watched the show",
    )
    sitting_gap_seconds: int = Field(1800, ge=1, le=43200, description="seconds without play that end a sitting")
    binge_episodes: int = Field(
        3, ge=2, le=BINGE5_EPISODES, description="episodes of one show in a sitting that make a binge"
    )
    binge_completion: Share = Field(
        Decimal("0.7"), description="share of an episode's runtime, watched in the sitting, that counts"
    )
    min_cell: int = Field(10, ge=1, description="viewers below which a row tells no viewer counts")


class ProfileSettings(ComputeSettings):
    """All settings of profile."""

    profile: ProfileOptions = ProfileOptions()

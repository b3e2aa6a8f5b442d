"""Settings of profile: ``MARQUEE_PROFILE__…``, or ``[profile]`` in the file.

They are the thresholds of the definitions. The heads of the ``.sql`` files give the definitions with their sources. The
markers record the settings that decide a period, so a change makes those periods stale.
"""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from marquee.settings.sections import ComputeSettings, Section

BINGE5_EPISODES = 5
"""Episodes of a long binge. Not a setting, because the column ``binge5_viewers`` contains the number."""

LAUNCH_AGES = (1, 3, 7, 28, 91)
"""Days since the premiere at which a launch is measured; the day of the premiere is the first."""
LAUNCH_DAYS = max(LAUNCH_AGES)

# A decimal, not a float: 0.9 of 10 seconds must be exactly 9.
Share = Annotated[Decimal, Field(gt=0, le=1, max_digits=4, decimal_places=3)]


class ProfileOptions(Section):
    """The thresholds of the audience definitions."""

    reach_seconds: int = Field(
        120, ge=1, description="least seconds of a show that count as reach, and of any viewing that count as active"
    )
    near_sole_share: Share = Field(
        Decimal("0.9"), description="least share of a viewer's seconds of a show that is nearly their only one"
    )
    multilingual_share: Share = Field(
        Decimal("0.1"), description="least share of a multilingual viewer's seconds in each of two languages"
    )
    multilingual_seconds: int = Field(
        1800, ge=1, description="least seconds of a multilingual viewer in each of two languages"
    )
    loyal_share: Share = Field(
        Decimal("0.5"),
        description="least share of a period's weeks (of a week: days) in which a loyal viewer watched the show",
    )
    sitting_gap_seconds: int = Field(1800, ge=1, le=43200, description="seconds without play that end a sitting")
    binge_episodes: int = Field(
        3, ge=2, le=BINGE5_EPISODES, description="least number of episodes of one show in a sitting that is a binge"
    )
    binge_completion: Share = Field(
        Decimal("0.7"), description="least share of an episode's runtime watched in the sitting for it to count"
    )
    step_completion: Share = Field(
        Decimal("0.7"), description="least share of an episode's runtime watched in the period to have watched it"
    )
    step_days: int = Field(
        14,
        ge=1,
        le=90,
        description="days in which the next episode of a season must follow, at most half of the period's days so far",
    )
    order_reach: int = Field(
        15, ge=1, description="least reach of a show in the orders in which to remove or to keep shows"
    )


class ProfileSettings(ComputeSettings):
    """All settings of profile."""

    profile: ProfileOptions = ProfileOptions()

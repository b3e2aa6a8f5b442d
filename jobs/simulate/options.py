"""Settings of the simulated service that are options of ``marquee simulate``. A separate module keeps help fast."""

from datetime import date
from typing import Final

START: Final = date(2026, 1, 5)
DAYS: Final = 7
EVENTS_PER_DAY: Final = 150_000
PARTITIONS: Final = 4
SEED: Final = 1

OPTIONS: Final = {
    "start": (START, "first day of play events, in UTC"),
    "days": (DAYS, "days of play events"),
    "events_per_day": (EVENTS_PER_DAY, "play events per day; the number of viewers grows with them"),
    "partitions": (PARTITIONS, "number of Kafka partitions, each with two files an hour"),
    "seed": (SEED, "seed of the random choices; the same seed gives the same bytes"),
}
"""Default and description of each option, by the name of the setting."""

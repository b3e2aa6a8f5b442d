"""The settings of the made-up service that are options of ``marquee simulate``; apart, so that its help is quick."""

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
    "events_per_day": (EVENTS_PER_DAY, "play events a day; viewers grow with them"),
    "partitions": (PARTITIONS, "Kafka partitions: two files each in every hour"),
    "seed": (SEED, "which of all possible services; the same seed gives the same bytes"),
}
"""Each option's default and description, by the name of the setting."""

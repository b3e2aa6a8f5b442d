"""Makes the mart's dimensions from all captures of the schedule in the lake; ``dimensions.sql`` defines them.

Countries that no capture names have their names from ISO 3166, as the package tzdata lists them.
"""

from importlib.resources import files

import pyarrow as pa

from marquee.lake.captured_schedule import open_catalogue
from marquee.lake.datasets import COUNTRIES, GENRES, NETWORKS
from marquee.lake.markers import Markers
from marquee.sql import read_sql

DIMENSIONS = (
    "dim_country",
    "dim_language",
    "dim_network",
    "dim_genre",
    "dim_show",
    "dim_show_genre",
    "dim_episode",
    "show_history",
)


def make_dimensions(markers: Markers) -> dict[str, pa.Table]:
    """Return the rows of each dimension by table name; CorruptLakeError if a capture does not match its manifest."""
    with open_catalogue(markers, NETWORKS, COUNTRIES, GENRES) as db:
        db.register("iso_country", iso_countries())
        db.execute(read_sql("jobs.mart_load", "dimensions"))
        return {name: db.table(name).to_arrow_table() for name in DIMENSIONS}


def iso_countries() -> pa.Table:
    """Return the code (``country``) and English ``name`` of every country of ISO 3166-1."""
    text = files("tzdata").joinpath("zoneinfo", "iso3166.tab").read_text(encoding="utf-8")
    listed = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    return pa.table({"country": [code for code, _ in listed], "name": [name for _, name in listed]})

"""The kiosk's dimensions, made from every capture of the schedule in the lake; ``dimensions.sql`` says how."""

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
    """Return the rows of each dimension by its table. CorruptLakeError if a capture is not as its manifest says."""
    with open_catalogue(markers, NETWORKS, COUNTRIES, GENRES) as db:
        db.execute(read_sql("jobs.mart_load", "dimensions"))
        return {name: db.table(name).to_arrow_table() for name in DIMENSIONS}

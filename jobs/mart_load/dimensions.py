"""Makes the mart's dimensions from all captures of the schedule in the lake; ``dimensions.sql`` defines them."""

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
        db.execute(read_sql("jobs.mart_load", "dimensions"))
        return {name: db.table(name).to_arrow_table() for name in DIMENSIONS}

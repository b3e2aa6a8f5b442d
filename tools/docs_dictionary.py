"""docs/data-dictionary.md: the lake from marquee/lake/datasets.py, the mart from the comments of its schema."""

import re
from collections.abc import Iterator, Mapping

import duckdb

from marquee.lake.datasets import DATASETS, Dataset
from marquee.mart import schema
from tools.markdown import marked_up, table

HEAD = """\
# Data dictionary

This page lists every dataset of the lake, every table and view of the mart, and their columns. All times are UTC. For
the meaning and the sources of the measures, see [definitions](definitions.md).

You may sum `watched_seconds` and `plays` over anything. **Never sum counts of viewers**, neither over shows, nor over
countries, nor over periods: use the row that was counted for your question.

## The lake

The lake contains Parquet files under `data/<stage>/<period>/run=<run id>/`. The [marker](architecture.md#markers) of a
period names its current run. Rows are sorted by the key. *By bucket* means one file for each bucket of viewers that has
rows, `<dataset>/bucket=<nnnn>.parquet`; otherwise there is one file, `<dataset>.parquet`. `schedule_fetch` also stores
the answers as served, as `payload/<source>.json`.
"""
MART = """\
## The mart

The tables and views of the mart are the same in DuckDB and in MySQL; types of views are those of DuckDB. The texts are
also comments in the database, except for views in MySQL, which supports no comments on views. An arrow names the table
that a column is a key of; in MySQL it is a foreign key from one dimension to another. Shows and episodes: TVmaze
(<https://www.tvmaze.com>), [CC BY-SA 4.0](https://creativecommons.org/licenses/by-sa/4.0/).
"""
SEE = "see above"
VIEW_COLUMNS = {
    "period": "period of the figures: the reported period; for hours, the loaded days, first/last",
    "title": "the show's label, unique (dim_show)",
    "country_name": "English name of the country (dim_country)",
    "place": "rank in the answer; 1 is the highest; null for the row of all, and for a show without such viewers",
    "country_place": "place by reach in the country",
    "world_place": "place by reach worldwide",
    "hour": "start of the hour",
    "hours": "hours watched",
    "hours_a_viewer": "hours divided by viewers: for a show, viewers reached; otherwise active viewers",
    "genre": "genre, or 'Unclassified', or 'Unknown show' (show_genre_part)",
    "genres": "number of genres of the show",
    "network": "name of the network or streaming channel, or 'Unknown'",
    "kind": "'network' or 'web'; empty for 'Unknown'; null for all networks",
    "share_reach": "reach, if it is at least 50; otherwise null",
    "status": "'Ended', or 'Ended, then …' if the service reverted it",
    "small_but_loyal": "'yes' or 'no'; null while nobody can have come back",
    "median_reach": "median of reach over the catalogue",
    "upper_quarter_percent": "lower bound of loyalty in the upper quarter, in percent",
    "upper_return_days": "lower bound of return_days in the upper quarter",
    "loyal_viewers_percent": "loyal_viewers in percent of reach",
    "upper_loyal_percent": "lower bound of loyal_viewers_percent in the upper quarter",
    "days_before": "loaded days up to the end, of 29",
    "days_after": "loaded days after the end, of 28",
    "days_later": "loaded days from the 64th day after the end on, of 28",
    "shows": "number of shows in the row",
    "reason": "why the show is not compared; null if it is",
}
"""Descriptions of view columns by names with the same meaning in all views. Other columns are those of a table that the
view reads, or explained in the comment of the view.
"""

Known = dict[str, Mapping[str, str]]
"""The description of each column of a table or view, by relation."""


def data_dictionary() -> Iterator[str]:
    """Yield the lines of the page."""
    yield from HEAD.splitlines()
    yield ""
    for dataset in DATASETS:
        yield from _dataset(dataset)
    yield from MART.splitlines()
    yield ""
    yield from _mart()


def _dataset(dataset: Dataset) -> Iterator[str]:
    files = ", by bucket" if dataset.by_bucket else ""
    key = ", ".join(f"`{name}`" for name in dataset.sort)
    yield f"### {dataset.name}"
    yield ""
    yield f"One row for each {marked_up(dataset.grain)}. Made by `{dataset.stage}`{files}. Key: {key}."
    yield ""
    yield from table(
        ["column", "type", "null", "meaning"],
        (
            (f"`{one.name}`", str(one.type), "yes" if one.nullable else "", marked_up(one.holds))
            for one in dataset.columns
        ),
    )


def _mart() -> Iterator[str]:
    known: Known = {}
    with duckdb.connect() as db:
        db.execute(schema.tables_sql())
        db.execute(schema.views_sql())
        for one in schema.relations():
            if one.kind == "table":
                types = {each.name: each.type for each in one.columns}
                known[one.name] = {each.name: each.comment for each in one.columns}
            else:
                described = db.execute(f"select * from {one.name} limit 0").description or ()  # noqa: S608 - our own names
                types = {name: str(kind).lower() for name, kind, *_ in described}
                known[one.name] = _view_columns(one.name, list(types), known)
            yield f"### {one.name}"
            yield ""
            yield f"{one.kind.capitalize()}. {marked_up(one.comment)}"
            yield ""
            rows = ((f"`{name}`", types[name], marked_up(holds)) for name, holds in known[one.name].items())
            yield from table(["column", "type", "meaning"], rows)


def _view_columns(view: str, columns: list[str], known: Known) -> Mapping[str, str]:
    """Return the descriptions of a view's columns: shared by all views, or of the first relation with the column."""
    body = schema.views_sql().partition(f"create view {view} as")[2].partition(";")[0]
    sources = [known[name] for name in re.findall(r"\b(?:from|join) (\w+)", body) if name in known]
    of_sources = {name: holds for source in reversed(sources) for name, holds in source.items() if holds != SEE}
    return {name: _looked_up(name, VIEW_COLUMNS.get(name) or of_sources.get(name) or SEE, known) for name in columns}


def _looked_up(name: str, holds: str, known: Known) -> str:
    elsewhere = known.get(holds.removeprefix("as ")) if holds.startswith("as ") else None
    return elsewhere[name] if elsewhere else holds

"""docs/data-dictionary.md: the lake from marquee/lake/datasets.py, the mart from the comments of its schema."""

import re
from collections.abc import Iterator, Mapping

import duckdb

from marquee.lake.datasets import DATASETS, Dataset
from marquee.mart import schema
from tools.markdown import marked_up, table

HEAD = """\
# Data dictionary

Every dataset of the lake, every table and view of the kiosk, and their columns. All times are UTC. What the measures
mean, and where their definitions come from: [definitions](definitions.md).

`watched_seconds` and `plays` may be summed over anything. **Counts of viewers never add up**, neither over shows, nor
countries, nor periods: take the row that was counted for what you ask.

## The lake

Parquet files under `data/<stage>/<period>/run=<run id>/`; which run counts is told by the period's
[marker](architecture.md#markers). Rows are sorted by the key. *By bucket* means one file for each bucket of viewers
that has rows, `<dataset>/bucket=<nnnn>.parquet`; otherwise there is one file, `<dataset>.parquet`. `schedule_fetch`
also keeps the answers as served, as `payload/<source>.json`.
"""
KIOSK = """\
## The kiosk

Tables and views of the mart, the same in DuckDB and in MySQL; types of views are DuckDB's. The same texts are comments
in the database, but for views in MySQL, which has none for them. An arrow names the table that a column is a key of; in
MySQL it is a foreign key where it leads from one dimension to another. Shows and episodes: TVmaze
(<https://www.tvmaze.com>), [CC BY-SA 4.0](https://creativecommons.org/licenses/by-sa/4.0/).
"""
SEE = "see above"
VIEW_COLUMNS = {
    "period": "what the figures are of: the reported period; of hours the days loaded, first/last",
    "title": "the show's label, unique (dim_show)",
    "country_name": "English name of the country (dim_country)",
    "place": "rank in the answer; 1 is the most",
    "country_place": "place by reach in the country",
    "world_place": "place by reach worldwide",
    "hour": "start of the hour",
    "hours": "hours watched",
    "hours_a_viewer": "hours divided by viewers: by those reached, of a show; else by those active",
    "genre": "genre, or 'Unclassified', or 'Unknown show' (show_genre_part)",
    "genres": "how many genres the show has",
    "network": "name of the network or streaming channel, or 'Unknown'",
    "kind": "'network' or 'web'; empty for 'Unknown'",
    "status": "'Ended', or 'Ended, then …' where the service took that back",
    "small_but_loyal": "'yes' or 'no'",
    "median_reach": "median of reach over the catalogue",
    "upper_quarter_percent": "loyalty from which a show is in the upper quarter, in percent",
    "loyal_viewers_percent": "loyal_viewers in percent of reach",
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
    yield from KIOSK.splitlines()
    yield ""
    yield from _kiosk()


def _dataset(dataset: Dataset) -> Iterator[str]:
    files = ", by bucket" if dataset.by_bucket else ""
    key = ", ".join(f"`{name}`" for name in dataset.sort)
    yield f"### {dataset.name}"
    yield ""
    yield f"One row for each {marked_up(dataset.grain)}. Made by `{dataset.stage}`{files}. Key: {key}."
    yield ""
    yield from table(
        ["column", "type", "null", "what it holds"],
        (
            (f"`{one.name}`", str(one.type), "yes" if one.nullable else "", marked_up(one.holds))
            for one in dataset.columns
        ),
    )


def _kiosk() -> Iterator[str]:
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
            yield from table(["column", "type", "what it holds"], rows)


def _view_columns(view: str, columns: list[str], known: Known) -> Mapping[str, str]:
    """Return the descriptions of a view's columns: shared by all views, or of the first relation with the column."""
    body = schema.views_sql().partition(f"create view {view} as")[2].partition(";")[0]
    sources = [known[name] for name in re.findall(r"\b(?:from|join) (\w+)", body) if name in known]
    of_sources = {name: holds for source in reversed(sources) for name, holds in source.items() if holds != SEE}
    return {name: _looked_up(name, VIEW_COLUMNS.get(name) or of_sources.get(name) or SEE, known) for name in columns}


def _looked_up(name: str, holds: str, known: Known) -> str:
    elsewhere = known.get(holds.removeprefix("as ")) if holds.startswith("as ") else None
    return elsewhere[name] if elsewhere else holds

"""Writes the generated pages of ``docs/``: ``python -m tools.docs``; with ``--check`` it only tells which are out of date.

    docs/commands.md          from the parser of the command line
    docs/data-dictionary.md   from jobs/common/datasets.py and the comments of jobs/mart_load/schema
    docs/settings.md          from the settings classes that jobs/settings.py lists

What is said of a command, a column or a setting stands once, where it is defined; here is only how a page shows it.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from jobs import cli
from jobs.common.datasets import DATASETS, Dataset
from jobs.mart_load import schema
from jobs.settings import SETTINGS
from tools.docs_settings import Row, list_sections

DOCS = Path(__file__).parents[1] / "docs"
GENERATED = "<!-- Written by `make docs`: change what it is made from, then run that again. -->"

_IDENTIFIER = re.compile(r"'\*\*'|\*?_?\b\w+_[\w*]*(?<!_)|\b[a-z]+_\*")

VIEW_COLUMNS = {
    "period": "the period of the figures; of hours, the days loaded, first/last",
    "title": "the show's label, unique (dim_show)",
    "country_name": "the country's English name (dim_country)",
    "place": "rank in the answer; 1 is the most",
    "hours": "hours watched",
    "genres": "number of the show's genres",
    "genre": "genre, or 'Unclassified' or 'Unknown show' (show_genre_part)",
    "daypart": "part of the viewer's day (dim_daypart)",
    "hour": "start of the hour",
    "part": "part of the show that the genre gets",
    "network": "name of the network or streaming channel, or 'Unknown'",
    "status": "the show's status; 'Ended, then …' if it was taken back",
    "kind": "'network' or 'web'; empty for none",
}
"""What columns of views hold that go by one name in all of them. Of others the comment of the view tells."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or check them; return 1 if a page was to be checked and is out of date."""
    parser = argparse.ArgumentParser("python -m tools.docs", description="Write the generated pages of docs/.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is out of date")
    given = parser.parse_args(arguments)
    stale = [name for name in PAGES if not is_current(name)]
    for name in stale:
        if not given.check:
            (DOCS / name).write_text(make_page(name), encoding="utf-8")
        print(f"docs/{name}: " + ("out of date: run `make docs`" if given.check else "written"))
    return int(given.check and bool(stale))


def is_current(name: str) -> bool:
    """Tell whether a page is what it would be written as now."""
    page = DOCS / name
    return page.exists() and page.read_text(encoding="utf-8") == make_page(name)


def make_page(name: str) -> str:
    """Return the text of a page."""
    title, *lines = PAGES[name]()
    return "\n".join([title, "", GENERATED, "", *lines]).rstrip("\n") + "\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table, and an empty one."""
    yield "| " + " | ".join(columns) + " |"
    yield "|" + " --- |" * len(columns)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |"
    yield ""


def marked_up(text: str) -> str:
    """Return a comment of the code as Markdown: identifiers as code, no other character read as markup."""
    parts = []
    end = 0
    for match in _IDENTIFIER.finditer(text):
        parts += [_escaped(text[end : match.start()]), f"`{match[0].strip(chr(39))}`"]
        end = match.end()
    return "".join([*parts, _escaped(text[end:])])


def _escaped(text: str) -> str:
    return re.sub(r"([*<\[])", r"\\\1", text)


# Commands.


def commands() -> Iterator[str]:
    """Yield the lines of docs/commands.md."""
    parser = cli.make_parser()
    yield "# Commands"
    yield "The command line of Marquee; `marquee COMMAND --help` says the same. Exit codes are those of"
    yield "[the failure model](architecture.md#exit-codes)."
    yield ""
    for name, command in _subcommands(parser).items():
        yield f"## marquee {name}"
        yield ""
        yield marked_up(command.description or "")
        yield ""
        rows = [_command_row(action) for action in _actions(command) if "--help" not in action.option_strings]
        if rows:
            yield from table(["argument", "what it does"], rows)


def _subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (subparsers,) = (action for action in _actions(parser) if isinstance(action.choices, dict))
    choices: dict[str, argparse.ArgumentParser] = subparsers.choices  # type: ignore[assignment]
    return choices


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions  # noqa: SLF001 - argparse has no other list, and its help texts differ between Pythons


def _command_row(action: argparse.Action) -> tuple[str, str]:
    names = list(action.option_strings) or [f"[{str(action.metavar or action.dest).upper()}]"]
    if action.option_strings and action.nargs != 0:
        values = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else None
        names[-1] += " " + str(action.metavar or values or action.dest.upper())
    elif action.choices:
        names = [f"[{'|'.join(map(str, action.choices))}]"]
    help_text = (action.help or "") % {**vars(action), "prog": "marquee"}
    return f"`{', '.join(names)}`", marked_up(help_text)


# Data dictionary.


def data_dictionary() -> Iterator[str]:
    """Yield the lines of docs/data-dictionary.md."""
    yield "# Data dictionary"
    yield "Every dataset of the lake, and every table and view of the kiosk. All times are UTC. Counts and seconds are whole"
    yield "numbers; nothing that is summed is a fraction. What the measures mean: [definitions](definitions.md)."
    yield ""
    yield "Sums over `watched_seconds` and `plays` hold in any direction. **Counts of viewers never add up**, neither over"
    yield "shows, nor countries, nor periods: take the row that was counted for what you ask."
    yield ""
    yield "## The lake"
    yield ""
    yield "Parquet files under `data/<stage>/<period>/run=<run id>/`; which run counts is told by the period's marker"
    yield "([architecture](architecture.md#markers)). Rows are sorted by the key. *By bucket* means one file for each viewer"
    yield "bucket that has rows, `<dataset>/bucket=<nnnn>.parquet`, otherwise there is one file, `<dataset>.parquet`."
    yield "`schedule_fetch` also keeps the answers as served, as `payload/<source>.json`."
    yield ""
    for dataset in DATASETS:
        yield from _dataset(dataset)
    yield "## The kiosk"
    yield ""
    yield "Tables and views of the mart; the same texts are comments in the database. Shows and episodes: TVmaze"
    yield "(<https://www.tvmaze.com>), [CC BY-SA 4.0](https://creativecommons.org/licenses/by-sa/4.0/)."
    yield ""
    yield from _kiosk()


def _dataset(dataset: Dataset) -> Iterator[str]:
    yield f"### {dataset.name}"
    yield ""
    yield f"One row for each {marked_up(dataset.grain)}. Made by `{dataset.stage}`" + (
        ", by bucket. " if dataset.by_bucket else ". "
    ) + "Key: " + ", ".join(f"`{name}`" for name in dataset.sort) + "."
    yield ""
    yield from table(
        ["column", "type", "null", "what it holds"],
        ((f"`{one.name}`", f"{one.type}", "yes" if one.nullable else "", marked_up(one.holds)) for one in dataset.columns),
    )


def _kiosk() -> Iterator[str]:
    with duckdb.connect() as db:
        db.execute(schema.tables_sql())
        db.execute(schema.views_sql())
        of_tables: dict[str, str] = {}
        for one in schema.relations():
            yield f"### {one.name}"
            yield ""
            yield f"{one.kind.capitalize()}. {marked_up(one.comment)}"
            yield ""
            if one.kind == "table":
                of_tables |= {each.name: each.comment for each in one.columns}
                yield from table(
                    ["column", "type", "what it holds"],
                    ((f"`{each.name}`", each.type, marked_up(each.comment)) for each in one.columns),
                )
            else:
                columns = db.execute(f"select * from {one.name} limit 0").description or ()  # noqa: S608 - our own names
                yield from table(["column", "type", "what it holds"], (_view_row(each, of_tables) for each in columns))


def _view_row(column: tuple[Any, ...], of_tables: dict[str, str]) -> tuple[str, str, str]:
    name, kind = column[0], str(column[1]).lower()
    return f"`{name}`", kind, marked_up(VIEW_COLUMNS.get(name) or of_tables.get(name) or "see above")


# Settings.


def settings() -> Iterator[str]:
    """Yield the lines of docs/settings.md."""
    yield "# Settings"
    yield "A setting is an environment variable, or an entry of the TOML file that `MARQUEE_CONFIG` names; the variable wins."
    yield "In a variable two underscores lead into a section; lists and tables are JSON there, such as `'[\"GB\", \"KR\"]'`."
    yield "A misspelt name is an error that names the nearest right one. `marquee config` lists the settings in force and"
    yield "where each came from, secrets masked."
    yield ""
    yield "Credentials of S3 are no settings of Marquee: boto3 finds them in its own variables, profiles and roles."
    yield "A setting that decides results stands in the markers of what it decides: change it, and those periods are stale."
    yield ""
    for section in list_sections(SETTINGS):
        yield f"## {section.title}"
        yield ""
        yield f"{marked_up(section.about)} Read by: {', '.join(f'`{stage}`' for stage in section.stages)}."
        yield ""
        columns = ["variable", "in TOML", "type", "default", "what it says"]
        yield from table(columns, (_setting_row(one) for one in section.rows))


def _setting_row(row: Row) -> tuple[str, ...]:
    secret = " **Secret**: keep it out of files that others read." if row.secret else ""
    return f"`{row.variable}`", f"`{row.place}`", row.kind, row.default, marked_up(row.description) + secret


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "commands.md": commands,
    "data-dictionary.md": data_dictionary,
    "settings.md": settings,
}
"""The generated pages by their file in ``docs/``."""

if __name__ == "__main__":
    sys.exit(main())

"""Writes the generated pages of ``docs/``: ``python -m tools.docs``; ``--check`` only tells which are out of date.

    docs/commands.md          from the parser of the command line
    docs/data-dictionary.md   from jobs/common/datasets.py and the comments of jobs/mart_load/schema
    docs/settings.md          from the settings classes that jobs/settings.py lists

What a command, a column or a setting is stands once, where it is defined; the pages show it.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tools.docs_commands import commands
from tools.docs_dictionary import data_dictionary
from tools.docs_settings import settings

DOCS = Path(__file__).parents[1] / "docs"
GENERATED = "<!-- Written by `make docs`: change what it is made from, then run that again. -->"

PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "commands.md": commands,
    "data-dictionary.md": data_dictionary,
    "settings.md": settings,
}
"""What gives the lines of each page, by its file in ``docs/``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or check them; return 1 if one that was to be checked is out of date."""
    parser = argparse.ArgumentParser("python -m tools.docs", description="Write the generated pages of docs/.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is out of date")
    check: bool = parser.parse_args(arguments).check
    stale = [name for name in PAGES if not is_current(name)]
    for name in stale:
        if not check:
            (DOCS / name).write_text(make_page(name), encoding="utf-8")
        print(f"docs/{name}: " + ("out of date: run `make docs`" if check else "written"))
    return int(check and bool(stale))


def is_current(name: str) -> bool:
    """Tell whether a page is what it would be written as now."""
    page = DOCS / name
    return page.exists() and page.read_text(encoding="utf-8") == make_page(name)


def make_page(name: str) -> str:
    """Return the text of a page."""
    return "\n".join([GENERATED, "", *PAGES[name]()]).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())

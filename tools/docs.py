"""Writes the generated files: ``python -m tools.docs``; ``--check`` only lists the files that are out of date.

    docs/commands.md                    from the parser of the command line
    docs/data-layers.md                 from marquee/lake/layers.py
    docs/data-dictionary.md             from marquee/lake/datasets.py and the comments of marquee/mart/schema
    docs/iam.md, docs/iam/*.json        from the roles of tools/iam.py
    docs/metrics.md                     from marquee/telemetry/metrics.py
    docs/settings.md                    from the settings classes that jobs/registry.py lists
    marquee/settings/names.txt          the names of the settings in them, for the check of misspelt ones
    charts/*/README.md                  from the comments of values.yaml beside it
    charts/*/values.schema.json         the settings in it, from the same classes

Each command, column, setting and value is described once, where it is defined, and the files are generated from that.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from tools.docs_chart import chart_readme, chart_schema
from tools.docs_commands import commands
from tools.docs_dictionary import data_dictionary
from tools.docs_layers import data_layers
from tools.docs_metrics import metrics
from tools.docs_settings import settings
from tools.iam import ROLES, access, policy_text
from tools.setting_names import names

ROOT = Path(__file__).parents[1]
GENERATED = "<!-- Written by `make docs`: change what it is made from, then run that again. -->"


def page(lines: Callable[[], Iterable[str]]) -> str:
    """Return a page of Markdown."""
    return "\n".join([GENERATED, "", *lines()]).rstrip() + "\n"


FILES: dict[str, Callable[[], str]] = {
    "charts/kiosk/README.md": partial(page, partial(chart_readme, "kiosk")),
    "charts/kiosk/values.schema.json": partial(chart_schema, "kiosk"),
    "charts/marquee/README.md": partial(page, partial(chart_readme, "marquee")),
    "charts/marquee/values.schema.json": partial(chart_schema, "marquee"),
    "docs/commands.md": partial(page, commands),
    "docs/data-dictionary.md": partial(page, data_dictionary),
    "docs/data-layers.md": partial(page, data_layers),
    "docs/iam.md": partial(page, access),
    **{f"docs/iam/{role.name}.json": partial(policy_text, role) for role in ROLES},
    "docs/metrics.md": partial(page, metrics),
    "docs/settings.md": partial(page, settings),
    "marquee/settings/names.txt": names,
}
"""The function that generates the text of each file, by its path in the project."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or check them; return 1 if a checked file is out of date."""
    parser = argparse.ArgumentParser("python -m tools.docs", description="Write the generated files.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    check: bool = parser.parse_args(arguments).check
    stale = [name for name in FILES if not is_current(name)]
    for name in stale:
        if not check:
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_text(FILES[name](), encoding="utf-8")
        print(f"{name}: " + ("out of date: run `make docs`" if check else "written"))
    return int(check and bool(stale))


def is_current(name: str) -> bool:
    """Return whether a file equals its generated content."""
    file = ROOT / name
    return file.exists() and file.read_text(encoding="utf-8") == FILES[name]()


if __name__ == "__main__":
    sys.exit(main())

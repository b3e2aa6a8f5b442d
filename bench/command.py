"""What the parts of the benchmark have in common: options, temporary folder, errors, tables, and results as JSON."""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.contenders import ROOT
from bench.measure import BenchError
from marquee.compiled import REMEDY, why_not_compiled
from marquee.errors import TERMINATED, MarqueeError

COMPILED = tuple(
    sorted(".".join(source.relative_to(ROOT).with_suffix("").parts) for source in (ROOT / "jobs").rglob("*.pyx"))
)
"""The compiled modules."""
WIDTH = 120
"""Characters of a line where the output is not a terminal."""


def new_parser(name: str, doc: str | None, folder: str | None = None) -> argparse.ArgumentParser:
    """Return a parser with ``--rounds``; with the help of ``--folder``, also ``--folder`` and ``--json``."""
    parser = argparse.ArgumentParser(f"python -m bench {name}", description=doc)
    parser.add_argument("--rounds", type=count, default=3, help="how often each runs (default: %(default)s)")
    if folder:
        parser.add_argument("--folder", type=Path, help=folder)
        parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured to a file, too")
    return parser


def count(text: str) -> int:
    """Return a whole number from 1 on, which may be written as 4.2e6."""
    number = float(text)
    if number < 1 or not number.is_integer():
        message = f"{text!r} is no whole number from 1 on"
        raise argparse.ArgumentTypeError(message)
    return int(number)


def run_part(part: Callable[[Path, Console], Any], to: Path | None = None) -> int:
    """Run a part of the benchmark; return the exit code, 1 if it fails. It says so if compiled modules are not used.

    Args:
        part: measures, prints its tables, and returns what it measured; it is called with a temporary folder and the
            console of progress.
        to: file for what was measured, as JSON.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # so that processes and folders are cleaned up
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if reason := why_not_compiled(*COMPILED):  # also after a change of their sources
        console.print(
            f"Marquee is measured without its compiled modules: {reason}. {REMEDY}", style="yellow", markup=False
        )
    try:
        with tempfile.TemporaryDirectory(prefix="marquee-bench-") as work:
            measured = part(Path(work).resolve(), console)
    except (BenchError, MarqueeError) as error:
        console.print(str(error), style="red", markup=False)
        return 1
    if to:
        to.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    return 0


def show(table: Table) -> None:
    """Print a table, as wide as the terminal."""
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)

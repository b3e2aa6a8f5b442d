"""``marquee help TOPIC``: short pages on topics that concern several commands. Each page is a file of this folder."""

import argparse
import difflib
import sys
from pathlib import Path
from typing import Any

from marquee.runs.arguments import EXIT_CODES, HelpFormatter

PAGES = Path(__file__).parent
SUMMARY = "explain a topic, such as periods; without a topic, list the topics"


def add(commands: Any) -> None:  # noqa: ANN401 - argparse hides the type
    """Add the command to the parser of all commands."""
    parser = commands.add_parser(
        "help",
        help=SUMMARY,
        description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}.",
        epilog=EXIT_CODES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("topic", nargs="?", metavar="TOPIC", help="a topic, or a command to list its options")
    parser.set_defaults(do="jobs.cli.help:run", quick=True, parser=parser, commands=commands.choices)


def topics() -> dict[str, str]:
    """Return the title of each topic by its name."""
    return {page.stem: _read(page.stem).partition("\n")[0] for page in sorted(PAGES.glob("*.txt"))}


def run(given: argparse.Namespace) -> int:
    """Print a page, the help of a command, or the topics."""
    known = topics()
    if given.topic is None:
        listed = "".join(f"  {name:<14}{title}\n" for name, title in known.items())
        sys.stdout.write(
            f"Topics:\n{listed}\nmarquee help TOPIC explains one; marquee help COMMAND lists its options.\n"
        )
    elif given.topic in known:
        sys.stdout.write(_read(given.topic))
    elif given.topic in given.commands:
        given.commands[given.topic].print_help()
    else:
        names = [*known, *given.commands]
        near = difflib.get_close_matches(given.topic, names, 1)
        hint = f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(names)}"
        given.parser.error(f"Unknown topic {given.topic!r}. {hint}")
    return 0


def _read(topic: str) -> str:
    return (PAGES / f"{topic}.txt").read_text(encoding="utf-8")

"""docs/commands.md: every command and option, from the parser of the command line."""

import argparse
from collections.abc import Iterator

from jobs.cli import parser as cli
from tools.markdown import marked_up, table

HEAD = """\
# Commands

This page lists the commands of Marquee; `marquee COMMAND --help` prints the same. Periods are in UTC. For exit codes,
see the [failure model](architecture.md#exit-codes). A stage also runs as a module, with the same period arguments:
`python -m jobs.rollup 2026-01-05`. There, `--config` lists its settings, and `--version` prints the version. The
[launcher](architecture.md#the-launcher) runs `rollup` or `profile` in the same way:
`python -m jobs.launcher rollup 2026-01-05`.
"""


def commands() -> Iterator[str]:
    """Yield the lines of the page."""
    yield from HEAD.splitlines()
    yield ""
    for name, command in subcommands(cli.make_parser()).items():
        yield f"## marquee {name}"
        yield ""
        yield marked_up(command.description or "")
        yield ""
        rows = [_row(action) for action in _actions(command) if "--help" not in action.option_strings]
        if rows:
            yield from table(["argument", "meaning"], rows)


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command by name; a command with subcommands is replaced by them, with both names."""
    found = {}
    for action in _actions(parser):
        for name, command in action.choices.items() if isinstance(action.choices, dict) else ():
            below = {f"{name} {one}": deeper for one, deeper in subcommands(command).items()}
            found.update(below or {name: command})
    return found


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions  # noqa: SLF001 - argparse tells of them in no other way but help texts, which differ by Python


def _row(action: argparse.Action) -> tuple[str, str]:
    value = str(action.metavar or "|".join(map(str, action.choices or [])) or action.dest.upper())
    if not action.option_strings:
        shown = f"[{value}]"
    else:
        shown = ", ".join(action.option_strings) + (f" {value}" if action.nargs != 0 else "")
    return f"`{shown}`", marked_up((action.help or "") % vars(action))

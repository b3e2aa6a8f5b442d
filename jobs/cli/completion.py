"""``marquee completion SHELL``: prints a script that completes Marquee's command lines in a shell.

The script contains all names, so that pressing TAB starts no program.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from marquee.runs.arguments import EXIT_CODES, HelpFormatter

SHELLS = ("bash", "zsh", "fish")
SUMMARY = "print a script that completes commands, options and names in your shell"
NOTHING = {"zsh": "( )"}
"""Completion of a value without known names. Without an action, zsh does not complete the options either."""
INSTALL = """\
Write the script to your shell's folder for completions, then start a new shell:

  bash   marquee completion bash > ~/.marquee-completion
         echo 'source ~/.marquee-completion' >> ~/.bashrc
  zsh    marquee completion zsh > FOLDER/_marquee, with a FOLDER in $fpath
  fish   marquee completion fish > ~/.config/fish/completions/marquee.fish

Repeat this after each update of Marquee.
"""


def add(commands: Any, whole: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse hides the type
    """Add the command to the parser of all commands, ``whole``."""
    parser = commands.add_parser(
        "completion",
        help=SUMMARY,
        description=f"{SUMMARY[0].upper()}{SUMMARY[1:]}.",
        epilog=f"{INSTALL}\n{EXIT_CODES}",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    parser.set_defaults(do="jobs.cli.completion:run", quick=True, whole=whole)


def run(given: argparse.Namespace) -> int:
    """Print the script for a shell."""
    import shtab  # noqa: PLC0415 - nothing else needs it, and images do not have it

    _annotate(given.whole)
    sys.stdout.write(f"{shtab.complete(given.whole, given.shell)}\n")
    return 0


def _annotate(parser: argparse.ArgumentParser) -> None:
    """Add completions to arguments whose types and choices do not give them."""
    from jobs.cli.help import topics  # noqa: PLC0415 - this module is imported for the help of all commands
    from marquee.mart.questions import QUESTIONS  # noqa: PLC0415

    asked = [name for one in QUESTIONS for name in (one.name, *one.also)]
    names = {"question": asked, "topic": [*topics(), *_commands(parser)]}
    for action in _all_actions(parser):
        if action.type is Path:
            action.complete = "directory" if action.metavar == "FOLDER" else "file"  # type: ignore[attr-defined]
        elif action.dest in names:
            action.choices = names[action.dest]
        elif not action.option_strings and not action.choices:
            action.complete = NOTHING  # type: ignore[attr-defined]


def _all_actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    found = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to list them
        found.append(action)
        for below in action.choices.values() if isinstance(action.choices, dict) else ():
            found += _all_actions(below)
    return found


def _commands(parser: argparse.ArgumentParser) -> list[str]:
    return [name for action in parser._actions if isinstance(action.choices, dict) for name in action.choices]  # noqa: SLF001

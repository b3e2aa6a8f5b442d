"""Common parts of all command lines: periods, exit codes, the layout of help. Quick to import."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from marquee.calendar import FORMS_HINT, Period, Span
from marquee.errors import USAGE
from marquee.settings.names import env_name

EXIT_CODES = """\
exit codes: 0 done, or nothing to do; 2 usage; 65 bad input over the threshold;
            70 internal; 75 try again; 76 lost to another run; 78 configuration;
            130 Ctrl-C; 143 terminated
"""


PERIOD, FORCE = (env_name((name,)) for name in ("period", "force"))
BY_SETTING = f"the period of {PERIOD}, or all pending periods"


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps paragraphs unchanged, and leaves space for the names of commands beside their descriptions."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=24)
        self._action_max_length = 18  # argparse forgets that commands are indented twice


class Parser(argparse.ArgumentParser):
    """A parser whose errors say what to write instead, and whose help ends with the exit codes."""

    def __init__(self, prog: str, description: str | None = None, **more: Any) -> None:  # noqa: ANN401 - argparse's own
        more = dict[str, Any](epilog=EXIT_CODES, formatter_class=HelpFormatter, allow_abbrev=False) | more
        super().__init__(prog, description=description, **more)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401 - as argparse has it
        """Parse a command line; an unknown option or argument ends the program with exit code 2."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            of: Parser = getattr(found, "parser", self)
            of.error(of._unknown(unknown[0]))
        return found

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and how to get help; end the program with exit code 2."""
        self.exit(USAGE, f"{self.prog}: error: {_reworded(message)}\nSee {self.prog} --help\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:  # noqa: ANN401
        choices = list(map(str, action.choices or ()))
        if choices and str(value) not in choices:
            what = "Unknown command" if action.nargs == argparse.PARSER else f"Invalid {action.metavar or action.dest}"
            raise argparse.ArgumentError(None, f"{what} {value!r}. {_nearest(str(value), choices)}")

    def _unknown(self, text: str) -> str:
        if text.startswith("-"):
            options = [name for action in self._actions for name in action.option_strings]
            return f"Unknown option {text!r}. {_nearest(text.partition('=')[0], options)}"
        return f"Unexpected argument {text!r}"


def whole_number(text: str) -> int:
    """Parse a whole number of 0 or more."""
    if not text.isdecimal():
        message = f"Invalid number {text!r}. Use a whole number of 0 or more"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _nearest(text: str, choices: Sequence[str]) -> str:
    import difflib  # noqa: PLC0415 - only for errors

    near = difflib.get_close_matches(text, choices, 1)
    return f"Did you mean {near[0]}?" if near else f"Use one of: {', '.join(choices)}"


def _reworded(message: str) -> str:
    """Return argparse's own errors in the style of Marquee's."""
    if needed := re.fullmatch(r"the following arguments are required: (.*)", message):
        return f"Missing {needed[1]}"
    if argument := re.fullmatch(r"argument ([^:]*): expected (?:one argument|at least one argument)", message):
        return f"{argument[1].partition('/')[0]} needs a value"
    # The error of an invalid value is complete without the name of the argument.
    return re.sub(r"^argument [^:]*: (?=Invalid )", "", message)


def add_period_arguments(parser: argparse.ArgumentParser, *, force: bool = True, otherwise: str = BY_SETTING) -> None:
    """Add PERIOD, --from, --to and --force to a command."""
    forms = f"{FORMS_HINT}; default: {otherwise}"
    parser.add_argument("period", nargs="?", type=_period, metavar="PERIOD", help=forms)
    parser.add_argument("--from", dest="first", type=_period, metavar="PERIOD", help="start with this period")
    parser.add_argument("--to", dest="last", type=_period, metavar="PERIOD", help="up to and including this period")
    if force:
        text = f"also make periods again that are done; same as {FORCE}=true"
        parser.add_argument("--force", action="store_true", help=text)


def read_span(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Span:
    """Return the span that a command line names; an invalid span ends the program with exit code 2."""
    if given.period and (given.first or given.last):
        parser.error("Use a PERIOD, or --from and --to, not both")
    try:
        return Span.of(given.period or given.first, given.period or given.last)
    except ValueError as error:
        parser.error(str(error))


def mart_given(given: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Return the settings of the mart from the command line's options."""
    found = {"url": getattr(given, "mart", None), "period": getattr(given, "mart_period", None)}
    return {"mart": known} if (known := {name: text for name, text in found.items() if text is not None}) else {}


def _period(text: str) -> Period:
    try:
        return Period.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None

"""What the command lines of all jobs have in common: periods, exit codes, the form of their help. Quick to import."""

import argparse

from marquee.calendar import FORMS_HINT, Period, Span
from marquee.settings.names import env_name

EXIT_CODES = """\
exit codes: 0 done, or nothing to do; 2 usage; 65 bad input over the threshold;
            70 internal; 75 try again; 76 lost to another run; 78 configuration;
            130 Ctrl-C; 143 terminated
"""


PERIOD, FORCE = (env_name((name,)) for name in ("period", "force"))
BY_SETTING = f"that of {PERIOD}, else all that is pending"


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Leaves paragraphs as they are, and has room for the names of commands beside their texts."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=24)
        self._action_max_length = 18  # argparse forgets that commands are indented twice


def add_period_arguments(parser: argparse.ArgumentParser, *, force: bool = True, otherwise: str = BY_SETTING) -> None:
    """Add PERIOD, --from, --to and --force to a command."""
    forms = f"{FORMS_HINT}; without one: {otherwise}"
    parser.add_argument("period", nargs="?", type=_period, metavar="PERIOD", help=forms)
    parser.add_argument("--from", dest="first", type=_period, metavar="PERIOD", help="from this period on")
    parser.add_argument("--to", dest="last", type=_period, metavar="PERIOD", help="up to and with this period")
    if force:
        text = f"make again what is done, too; as {FORCE}=true"
        parser.add_argument("--force", action="store_true", help=text)


def read_span(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Span:
    """Return the span that a command line names; ends the program with usage when it makes no sense."""
    if given.period and (given.first or given.last):
        parser.error("expected a PERIOD, or --from and --to, not both")
    try:
        return Span.of(given.period or given.first, given.period or given.last)
    except ValueError as error:
        parser.error(str(error))


def _period(text: str) -> Period:
    try:
        return Period.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None

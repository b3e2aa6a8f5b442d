"""Entry point of the command line ``marquee``, also as ``python -m jobs.cli``."""

import gc
import sys
from collections.abc import Sequence
from pkgutil import resolve_name

from jobs.cli.parser import make_parser
from marquee.runs.arguments import read_span


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    given = make_parser(words[0] if words else "").parse_args(words)
    if "first" in given:
        given.span = read_span(given.parser, given)
    if "quick" in given:  # needs neither settings nor a lake
        code: int = resolve_name(given.do)(given)
        return code
    from marquee.runs.command import guarded  # noqa: PLC0415 - help and usage errors end before it is needed

    do = resolve_name(given.do)
    gc.enable()  # marquee/__main__.py has switched it off for loading modules
    return guarded(lambda: do(given), given.log, for_a_person=True)


if __name__ == "__main__":
    sys.exit(main())

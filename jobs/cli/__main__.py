"""Entry point of the command line ``marquee``, also as ``python -m jobs.cli``."""

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
    from marquee.runs.command import guarded, run_supervised, spare_collections  # noqa: PLC0415 - help and usage errors need neither

    do = resolve_name(given.do)
    spare_collections()
    alone = arguments is None
    if alone and "supervised" in given:
        run_supervised(given.log, for_a_person=True)
    return guarded(lambda: do(given), given.log, for_a_person=True, alone=alone)


if __name__ == "__main__":
    sys.exit(main())

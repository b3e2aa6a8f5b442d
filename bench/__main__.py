"""Run a benchmark with its own options, such as ``rollup --rounds 5``; without an argument, ``rollup`` and ``mart``."""

import sys

from bench import day, instructions, mart, quarter, questions, rollup, scale

PARTS = {
    "rollup": rollup.main,
    "mart": mart.main,
    "quarter": quarter.main,
    "day": day.main,
    "questions": questions.main,
    "instructions": instructions.main,
    "scale": scale.main,
}
USUAL = ("rollup", "mart")
"""Parts that run without an argument; the others take long."""


def main() -> int:
    """Run the requested benchmarks; return the exit code."""
    name, *options = sys.argv[1:] or [""]
    if not name:
        return max(PARTS[part]([]) for part in USUAL)
    if name not in PARTS:
        print(f"{name!r} is no part of the benchmarks: expected one of {', '.join(PARTS)}", file=sys.stderr)
        return 2
    return PARTS[name](options)


if __name__ == "__main__":
    sys.exit(main())

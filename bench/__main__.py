"""Run the benchmarks: ``rollup`` or ``mart`` with its own options, or both without an argument."""

import sys

from bench import mart, rollup

PARTS = {"rollup": rollup.main, "mart": mart.main}


def main() -> int:
    """Run the requested benchmarks; return the exit code."""
    name, *options = sys.argv[1:] or [""]
    if not name:
        return max(part([]) for part in PARTS.values())
    if name not in PARTS:
        print(f"{name!r} is no part of the benchmarks: expected one of {', '.join(PARTS)}", file=sys.stderr)
        return 2
    return PARTS[name](options)


if __name__ == "__main__":
    sys.exit(main())

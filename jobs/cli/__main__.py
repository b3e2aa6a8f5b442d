"""``python -m jobs.cli``: the command ``marquee``."""

import sys

from jobs.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())

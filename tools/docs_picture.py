"""Draws an answer of `marquee ask` as a terminal shows it: the picture of the README.

    marquee ask must-not-cancel --limit 4 | python -m tools.docs_picture 'marquee ask must-not-cancel --limit 4' \
        >docs/answer.svg

The lines up to the first empty one are drawn. A test compares them with the output of the command in the README.
"""

import re
import sys
from collections.abc import Iterator
from html import escape

from rich.cells import cell_len

WIDTH, HEIGHT, MARGIN = 7.9, 19, 18
"""Size of a character, of a line, and of the margin, in pixels."""
RULE = "─"
HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img"
  width="{width:.0f}" height="{height}">
<title>{title}</title>
<style>
text {{ font: 13px 'DejaVu Sans Mono', Menlo, Consolas, 'Noto Sans Mono CJK JP', monospace; fill: #d8dee9 }}
.in {{ fill: #a3be8c }}
.first {{ font-weight: bold; fill: #ffffff }}
</style>
<rect width="100%" height="100%" rx="8" fill="#1f2430"/>
"""


def draw(command: str, lines: list[str]) -> Iterator[str]:
    """Yield the lines of the picture of a command and its output."""
    width = max(map(cell_len, lines)) * WIDTH + 2 * MARGIN
    title = escape(f"{command}: {lines[0].strip()}")
    yield HEAD.format(width=width, height=(len(lines) + 2) * HEIGHT + 2 * MARGIN - HEIGHT // 2, title=title)
    yield f'<text class="in" x="{MARGIN}" y="{MARGIN + HEIGHT / 2}">$ {escape(command)}</text>\n'
    for number, line in enumerate(lines, start=2):
        y = MARGIN + (number + 0.5) * HEIGHT
        if set(line) == {RULE}:
            yield f'<line x1="{MARGIN}" x2="{width - MARGIN:.1f}" y1="{y - 4}" y2="{y - 4}" stroke="#4c566a"/>\n'
            continue
        kind = "out first" if number == 2 else "out"  # noqa: PLR2004 - the answer's title
        yield f'<text class="{kind}" y="{y}">{" ".join(_placed(line))}</text>\n'
    yield "</svg>\n"


def _placed(line: str) -> Iterator[str]:
    """Yield the parts of a line between wide gaps, each with its position, so a wide letter in one moves no other."""
    for found in re.finditer(r"\S+(?: \S+)*", line):
        x = MARGIN + cell_len(line[: found.start()]) * WIDTH
        yield f'<tspan x="{x:.1f}">{escape(found[0])}</tspan>'


def main() -> int:
    """Read an answer, and write its picture."""
    answer = sys.stdin.read().split("\n\n")[0]
    sys.stdout.writelines(draw(sys.argv[1], answer.splitlines()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

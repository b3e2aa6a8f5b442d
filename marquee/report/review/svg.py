"""Pictures as inline SVG, without a library: bars, stacked bars, lines, points and a heat map.

Horizontal positions are percentages and letters keep their size, so a picture fills a column of any width. Colours are
classes, which the page's style sheet defines for light, dark and paper. Every picture has a title and a description
for screen readers; the page shows its numbers in a table as well.
"""

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape as without_markup

from marquee.neutral import neutral
from marquee.report.review.words import PERCENT, Number, number_text

WHOLE = 100
"""The full length of a bar that is a share, in percent."""
ROW = 42
"""Height in pixels of a bar with its label."""
LINE = 20
"""Height in pixels of a line of text above a picture."""
LEGEND = 40
"""Maximum characters of names of shades in one line."""
LABEL = 34
"""Maximum width of a label in characters; a wide one, such as Chinese, counts twice."""
NAMED = 3
"""Points that have a label."""
PLOT = 260
"""Height in pixels of lines and points."""


@dataclass(frozen=True)
class Bar:
    """A bar: its label, values from the left (drawn one after another), the text at its end, and a mark beside it."""

    label: str
    values: tuple[float, ...]
    number: Number
    remark: str = ""
    mark: float | None = None


@dataclass(frozen=True)
class Line:
    """A line through points (x, y); ``strong`` lines have the accent colour."""

    label: str
    points: tuple[tuple[float, float], ...]
    strong: bool = True


@dataclass(frozen=True)
class Point:
    """A point; ``strong`` points are filled and have their label beside them."""

    label: str
    x: float
    y: float
    strong: bool


Scale = Callable[[float], float]
"""Returns the percentage of the width, or of the height from below, for a value."""


def escape(text: str) -> str:
    """Return a text for HTML or SVG, without markup and control characters."""
    return without_markup(neutral(text))


def bars(
    title: str, rows: Sequence[Bar], reference: tuple[float, str] | None = None, legend: Sequence[str] = ()
) -> str:
    """Draw horizontal bars. ``reference`` is a value with a label, drawn as a vertical line."""
    widest = max(
        [sum(row.values) for row in rows] + [row.mark or 0 for row in rows] + [reference[0] if reference else 0]
    )
    if widest <= WHOLE and all(row.number.unit == PERCENT for row in rows):
        widest = WHOLE  # a share fills its part of the bar, not that of the largest share
    scale = _linear(0, widest or 1)
    parts, top = _legend(legend)
    top = max(top, LINE * bool(reference))
    for place, row in enumerate(rows):
        y = top + place * ROW
        remark = f'<tspan class="soft">{escape(row.remark)}</tspan> ' if row.remark else ""
        parts += [
            f'<text x="0" y="{y + 14}">{_short(row.label)}</text>',
            f'<text x="100%" y="{y + 14}" class="end">{remark}{_number(row.number)}</text>',
            f'<rect x="0" y="{y + 21}" width="100%" height="10" rx="2" class="track"/>',
        ]
        start = 0.0
        for shade, value in enumerate(row.values):
            parts.append(_rect(start, y + 21, scale(value), 10, f"fill{shade}"))
            start += scale(value)
        if row.mark is not None:
            parts.append(f'<rect x="{_p(scale(row.mark))}" y="{y + 18}" width="2" height="16" class="mark"/>')
        if reference:
            at = _p(scale(reference[0]))
            parts.append(f'<line x1="{at}" x2="{at}" y1="{y + 17}" y2="{y + 35}" class="reference"/>')
    if reference:
        side = "end" if scale(reference[0]) > 50 else ""  # noqa: PLR2004 - the half of the width
        parts.append(f'<text x="{_p(scale(reference[0]))}" y="13" class="soft {side}">{escape(reference[1])}</text>')
    height = top + len(rows) * ROW
    return _svg(title, [f"{row.label}: {number_text(row.number)}" for row in rows], height, parts)


def stacks(title: str, rows: Sequence[tuple[str, Sequence[float]]], names: Sequence[str]) -> str:
    """Draw shares of 100 % as stacked bars; each row has a value for each name."""
    parts, top = _legend(names)
    for place, (label, values) in enumerate(rows):
        y = top + place * ROW
        parts.append(f'<text x="0" y="{y + 14}">{_short(label)}</text>')
        start, every = 0.0, sum(values) or 1
        for shade, value in enumerate(values):
            share = 100 * value / every
            parts.append(_rect(start, y + 21, share, 14, f"fill{shade}"))
            if share >= 12:  # noqa: PLR2004 - room for two digits
                number = _number(Number(round(share), 0, "%"))
                parts.append(f'<text x="{_p(start + share / 2)}" y="{y + 32}" class="on{shade} inside">{number}</text>')
            start += share
    described = [
        f"{label}: {', '.join(f'{n} {v:g} %' for n, v in zip(names, values, strict=True))}" for label, values in rows
    ]
    return _svg(title, described, top + len(rows) * ROW, parts)


def heat(title: str, rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float | None]]) -> str:
    """Draw a heat map of percentages: a row for each of ``rows``; the highest cell of each column has a dot."""
    left, line = 31.0, 24
    width = (100 - left) / max(len(columns), 1)
    most = max((value for row in values for value in row if value), default=1) or 1
    best = [max((row[n] or 0 for row in values), default=0) for n in range(len(columns))]
    parts = [
        f'<text x="{_p(left + (n + 0.5) * width)}" y="13" class="soft middle">{escape(name)}</text>'
        for n, name in enumerate(columns)
    ]
    for place, (label, row) in enumerate(zip(rows, values, strict=True)):
        y = 20 + place * line
        parts.append(f'<text x="0" y="{y + 16}">{_short(label, 17)}</text>')
        for n, value in enumerate(row):
            step = 0 if not value else min(5, 1 + int(5 * value / most))
            tip = f"{label}, {columns[n]}: {'–' if value is None else f'{value:g} %'}"
            cell = f'x="{_p(left + n * width)}" y="{y}" width="{_p(width)}" height="{line}"'
            parts.append(f'<rect {cell} class="heat{step}"><title>{escape(tip)}</title></rect>')
            if value and value == best[n]:
                parts.append(f'<circle cx="{_p(left + (n + 0.5) * width)}" cy="{y + line / 2:g}" r="4" class="best"/>')
    described = [
        f"{name}: {rows[max(range(len(rows)), key=lambda r: values[r][n] or 0)]} {best[n]:g} %"
        for n, name in enumerate(columns)
    ]
    return _svg(title, described, 24 + len(rows) * line, parts)


def points(title: str, those: Sequence[Point], across: str, up: str) -> str:
    """Draw points; the horizontal axis is logarithmic from the smallest to the largest x."""
    low, high, most = min(p.x for p in those), max(p.x for p in those), max(p.y for p in those) or 1
    x, y = _logarithmic(low, high), _linear(0, 1.1 * most)
    parts = _grid(1.1 * most, y, up)
    named = _apart(sorted((p for p in those if p.strong), key=lambda p: -p.y), x, y)
    for one in sorted(those, key=lambda p: p.strong):
        at, down = 2 + 96 * x(one.x) / 100, _down(y(one.y))
        radius, kind = (5, "strong") if one.strong else (3.5, "weak")
        circle = f'<circle cx="{_p(at)}" cy="{down:.1f}" r="{radius}" class="{kind}">'
        parts.append(f"{circle}<title>{escape(one.label)}</title></circle>")
        if one in named:
            right = at > 50  # noqa: PLR2004 - the half of the width
            side = ' class="end halo" dx="-9"' if right else ' class="halo" dx="9"'
            parts.append(f'<text x="{_p(at)}" y="{down + 4:.1f}"{side}>{_short(one.label, 26)}</text>')
    parts += _ends(_number(Number(low)), escape(across), _number(Number(high)))
    strong = [f"{p.label}: {p.x:g}, {p.y:g}" for p in those if p.strong]
    return _svg(title, strong or [f"{len(those)} points"], PLOT + 46, parts)


def _apart(those: Sequence[Point], x: Scale, y: Scale) -> list[Point]:
    """Return the first points whose labels do not cover one another."""
    named: list[Point] = []
    for one in those:
        if all(abs(y(one.y) - y(other.y)) > 7 or abs(x(one.x) - x(other.x)) > 60 for other in named):  # noqa: PLR2004 - percent
            named.append(one)
    return named[:NAMED]


def lines(
    title: str, those: Sequence[Line], ends: tuple[str, str, str], up: str, mark: tuple[float, str] | None = None
) -> str:
    """Draw lines over one another, each with its last value.

    ``ends`` are the texts below the axis: at the left, in the middle, at the right. ``mark`` is a place on the axis
    with a label, drawn as a vertical line.
    """
    every = [point for line in those for point in line.points]
    most = max((y for _, y in every), default=1) or 1
    x, y = _linear(min(x for x, _ in every), max(x for x, _ in every)), _linear(0, most)
    parts = _grid(most, y, up)
    paths = []
    for kind, chosen in (("weak", False), ("strong", True)):
        for place, line in enumerate(one for one in those if one.strong is chosen):
            path = " ".join(f"{x(at):.2f},{100 - y(value):.2f}" for at, value in line.points)
            paths.append(f'<polyline points="{path}" class="line {kind} stroke{place % 4}"/>')
    parts.append(
        f'<svg x="0" y="22" width="100%" height="{PLOT - 4}" viewBox="0 0 100 100" preserveAspectRatio="none" '
        f'overflow="visible">{"".join(paths)}</svg>'
    )
    if mark:
        across, side = _p(x(mark[0])), "end" if x(mark[0]) > 50 else ""  # noqa: PLR2004 - the half of the width
        parts.append(f'<line x1="{across}" x2="{across}" y1="22" y2="{_down(0):.1f}" class="reference"/>')
        parts.append(f'<text x="{across}" y="36" class="soft halo {side}">{escape(mark[1])}</text>')
    below = -math.inf
    for line in sorted(those, key=lambda one: -one.points[-1][1]):
        at, value = line.points[-1]
        below = max(_down(y(value)) - 7, below + 15)  # so that no label covers another
        side = "end" if x(at) > 50 else ""  # noqa: PLR2004 - the half of the width
        parts.append(
            f'<text x="{_p(x(at))}" y="{below:.1f}" class="{side} halo">{_short(line.label)} {_last(value)}</text>'
        )
    parts += _ends(*map(escape, ends))
    described = [f"{line.label}: {line.points[0][1]:g} to {line.points[-1][1]:g}" for line in those]
    return _svg(title, described, PLOT + 46, parts)


def _last(value: float) -> str:
    return f'<tspan class="soft">{_number(Number(value, 0 if value == int(value) else 1))}</tspan>'


def _down(percent: float) -> float:
    return 22 + (PLOT - 4) * (1 - percent / 100)


def _grid(most: float, y: Scale, up: str) -> list[str]:
    parts = [f'<text x="0" y="13" class="soft">{escape(up)}</text>']
    for value in _steps(most):
        down = _down(y(value))
        parts.append(f'<line x1="0" x2="100%" y1="{down:.1f}" y2="{down:.1f}" class="grid"/>')
        if value and y(value) < 94:  # noqa: PLR2004 - below the axis' label
            number = _number(Number(value, 0 if value == int(value) else 1))
            parts.append(f'<text x="0" y="{down - 4:.1f}" class="soft">{number}</text>')
    return parts


def _ends(left: str, middle: str, right: str) -> list[str]:
    y = PLOT + 38
    return [
        f'<text x="0" y="{y}" class="soft">{left}</text>',
        f'<text x="50%" y="{y}" class="soft middle">{middle}</text>',
        f'<text x="100%" y="{y}" class="soft end">{right}</text>',
    ]


def _steps(most: float) -> list[float]:
    """Return up to five round values from 0 to a maximum."""
    step = 1.0
    while most / step > 5:  # noqa: PLR2004 - as above
        step *= 2.5 if str(step).strip("0.").startswith("2") else 2
    while most and most / step < 2:  # noqa: PLR2004 - at least two lines
        step /= 2
    return [n * step for n in range(int(most / step) + 1)]


def _linear(low: float, high: float) -> Scale:
    return lambda value: 100 * (value - low) / ((high - low) or 1)


def _logarithmic(low: float, high: float) -> Scale:
    least = math.log(max(low, 1))
    return lambda value: 100 * (math.log(max(value, 1)) - least) / ((math.log(max(high, 1)) - least) or 1)


def _legend(names: Sequence[str]) -> tuple[list[str], int]:
    """Return the names of shades, and their height: one below the other if they are too long for a phone's line."""
    entries = [
        f'<tspan class="fill{shade}">■</tspan> <tspan class="soft">{escape(name)}</tspan>'
        for shade, name in enumerate(names)
    ]
    lines = entries if sum(map(len, names)) > LEGEND else ["\u2003".join(entries)] if entries else []
    return [f'<text x="0" y="{13 + LINE * place}">{line}</text>' for place, line in enumerate(lines)], LINE * len(lines)


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect x="{_p(x)}" y="{y}" width="{_p(width)}" height="{height}" class="{kind}"/>'


def _p(percent: float) -> str:
    return f"{percent:.2f}".rstrip("0").rstrip(".") + "%"


def _number(number: Number) -> str:
    plain = f"{number.value:,.{number.decimals}f}"
    return f'<tspan data-v="{number.value!r}" data-d="{number.decimals}">{plain}</tspan>{escape(number.unit)}'


def _short(text: str, width: int = LABEL) -> str:
    """Return a label that fits, escaped; the whole text is its tooltip."""
    safe, used, cut = neutral(text), 0, ""
    for letter in safe:
        used += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if used > width:
            return f"<title>{without_markup(safe)}</title>{without_markup(cut.rstrip())}…"
        cut += letter
    return without_markup(safe)


def _svg(title: str, described: Sequence[str], height: int, parts: Sequence[str]) -> str:
    text = f"{title} {'; '.join(described)}."
    return (
        f'<svg role="img" width="100%" height="{height}" aria-label="{escape(text)}">'
        f"<title>{escape(title)}</title><desc>{escape('; '.join(described))}</desc>"
        f'<g aria-hidden="true">{"".join(parts)}</g></svg>'
    )

"""`marquee status --html`: the state of all stages as one self-contained HTML page, which needs no network.

The page starts with a heat map: a row for each of the last days, with a cell for each hour of the rollup and each daily
stage. Each state has a letter and a colour, so the page works in black and white and with a screen reader. The colours
follow the system's light or dark theme.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from html import escape as without_markup

from marquee.calendar import DAY, Grain, Period
from marquee.lake import keys
from marquee.neutral import neutral
from marquee.report.formats import objects_text, time_text
from marquee.runs.stage import State
from marquee.runs.status import PeriodStatus, StageSummary, fold, not_done, noted, partial, summarise
from marquee.version import __version__

DAYS_SHOWN = 35
OPEN_SHOWN = 200
"""Maximum number of lines in the page's list of periods that are not done."""
DAILY = (keys.SCHEDULE_FETCH, keys.PROFILE, keys.AUDIENCE)
"""Stages with a period for each day. Each has its own column."""

ABSENT = "none"
MARKS: Mapping[str, tuple[str, str]] = {
    State.DONE: ("✓", "done"),
    State.WAITING: ("·", "waiting: not over yet, or an upstream input is missing"),
    State.PENDING: ("P", "pending: can be made now"),
    State.STALE: ("S", "stale: its inputs have changed"),
    State.FAILED: ("F", "failed"),
    ABSENT: ("", "no such period: no events in it or after it"),
}
"""Letter and description of each kind of cell."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --page: #fff;
  --done: #b7e1c0; --pending: #f7e08c; --stale: #f9bd85; --failed: #d1242f; --on-failed: #fff; --waiting: #eef1f4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --page: #0d1117;
  --done: #1f5a30; --pending: #6b5705; --stale: #8a4a10; --failed: #f85149; --on-failed: #0d1117;
  --waiting: #21262d; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--page); margin: 2rem auto;
  max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .3rem 0; color: var(--soft); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; } .number { text-align: right; }
.list th, .list td { padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
.list td:not(:last-child) { white-space: nowrap; }
.map th { font-weight: 400; color: var(--soft); padding: 0 .35rem; white-space: nowrap; }
.map thead th { text-align: center; }
.map td { min-width: 1.5rem; height: 1.5rem; text-align: center; border: 1px solid var(--page); }
.map td.gap { min-width: .8rem; } .key span { padding: .05rem .5rem; margin-right: .25rem; color: var(--ink); }
.done { background: var(--done); } .pending { background: var(--pending); } .stale { background: var(--stale); }
.failed { background: var(--failed); } .waiting { background: var(--waiting); }
.map td.failed, .key span.failed { color: var(--on-failed); font-weight: 700; }
"""


def status_page(
    listed: Sequence[PeriodStatus],
    now: datetime,
    places: Mapping[str, str] | None = None,
    remarks: Sequence[str] = (),
) -> str:
    """Return the page.

    Args:
        listed: the states of the periods.
        now: the time of the page.
        places: the lake, mart and environment that it shows, by label.
        remarks: remarks of the stages on their inputs.
    """
    summaries = summarise(listed)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">""",
            f"<title>Marquee: {escape(_headline(summaries))}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            f"<h1>{escape(_headline(summaries))}</h1>",
            f"<p>As of {now:%Y-%m-%d %H:%M:%S} UTC. All periods are in UTC. Marquee {escape(__version__)}.</p>",
            *(f"<p>{escape(what)}: {escape(where)}</p>" for what, where in (places or {}).items()),
            *(f"<p>{escape(remark)}</p>" for remark in remarks),
            *_heat_map(listed),
            *_stages(summaries, now),
            *_open(not_done(listed)),
            *_noted(noted(listed)),
            *_partial(listed),
            "</body>",
            "</html>",
            "",
        ]
    )


def _headline(summaries: Sequence[StageSummary]) -> str:
    totals = {state: sum(one.periods[state] for one in summaries) for state in State}
    parts = [f"{totals[state]:,} {state}" for state in State if totals[state]]
    return f"Periods: {', '.join(parts)}" if parts else "No periods yet"


def _heat_map(listed: Sequence[PeriodStatus]) -> Iterator[str]:
    known = {(one.stage, one.period): one for one in listed}
    days = sorted({Period.containing(period.start, Grain.DAY) for stage, period in known if stage == keys.ROLLUP})
    if not days:
        return
    shown = list(
        Period.containing(max(days[0].start, days[-1].start - (DAYS_SHOWN - 1) * DAY), Grain.DAY).until(days[-1].end)
    )
    daily = [stage for stage in DAILY if any(of == stage and period.grain is Grain.DAY for of, period in known)]
    yield "<h2>Hours of the rollup and days of the other stages</h2>"
    yield '<div class="wide"><table class="map">'
    hours = "".join(f'<th scope="col">{hour:02}</th>' for hour in range(24))
    names = "".join(f'<td class="gap"></td><th scope="col">{escape(stage)}</th>' for stage in daily)
    yield f'<thead><tr><th scope="col">day</th>{hours}{names}</tr></thead><tbody>'
    for day in reversed(shown):
        cells = [_cell(hour, known.get((keys.ROLLUP, hour))) for hour in day.parts(Grain.HOUR)]
        cells += [f'<td class="gap"></td>{_cell(day, known.get((stage, day)))}' for stage in daily]
        yield f'<tr><th scope="row">{day}</th>{"".join(cells)}</tr>'
    yield "</tbody></table></div>"
    yield f'<p class="key">{" ".join(_key(kind) for kind in MARKS if kind != ABSENT)}</p>'


def _cell(period: Period, one: PeriodStatus | None) -> str:
    kind = ABSENT if one is None else one.state
    letter, words = MARKS[kind]
    details = [f"{period}: {words}"]
    if one is not None and one.made_at:
        details.append(f"{one.rows:,} rows, {one.rejects:,} rejects, made {one.made_at:%Y-%m-%d %H:%M}")
    if one is not None and one.objects:
        details.append(f"raw objects: {objects_text(one.objects)}")
    if one is not None and one.coverage and not one.coverage.complete:
        details.append(str(one.coverage))
    if one is not None and one.reason:
        details.append(one.reason)
    if one is not None and one.note:
        details.append(one.note)
    return f'<td class="{kind}" title="{escape("; ".join(details))}">{letter}</td>'


def _key(kind: str) -> str:
    letter, words = MARKS[kind]
    return f'<span class="{kind}">{letter}</span>{escape(words)}'


def _stages(summaries: Sequence[StageSummary], now: datetime) -> Iterator[str]:
    yield "<h2>Stages</h2>"
    heads = ["stage", *State, "newest", "data age", "rows", "rejects", "last run"]
    rows = (
        [
            one.label,
            *(f"{one.periods[state]:,}" for state in State),
            str(one.newest or "–"),
            time_text(one.age(now)) or "–",
            f"{one.rows:,}",
            f"{one.rejects:,}",
            f"{time_text(now - one.made_at)} ago" if one.made_at else "–",
        ]
        for one in summaries
    )
    yield from _table(heads, rows, numbers={*State, "rows", "rejects"})


def _open(left: Sequence[PeriodStatus]) -> Iterator[str]:
    rows = [[one.first.label, one.periods, one.first.state, one.first.reason] for one in fold(left)]
    yield from _section(f"Not done: {len(left):,}", ["stage", "periods", "state", "why"], rows, _lines_of(rows))


def _noted(noted: Sequence[PeriodStatus]) -> Iterator[str]:
    rows = [[one.first.label, one.periods, one.first.note] for one in fold(noted)]
    title = f"Published, with a note: {len(noted):,}"
    yield from _section(title, ["stage", "periods", "note"], rows, _lines_of(rows))


def _partial(listed: Sequence[PeriodStatus]) -> Iterator[str]:
    rows = [[str(period), str(covered), labels] for period, covered, labels in partial(listed)]
    yield from _section(f"Partial: {len(rows):,}", ["period", "has", "stages"], rows)


def _lines_of(rows: Sequence[object]) -> str:
    return f" lines of {len(rows):,}"


def _section(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], of: str = "") -> Iterator[str]:
    """Yield a heading and a table of the first rows; nothing without rows."""
    if rows:
        yield f"<h2>{title}{f', the first {OPEN_SHOWN}{of}' if len(rows) > OPEN_SHOWN else ''}</h2>"
        yield from _table(heads, rows[:OPEN_SHOWN])


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[str] = ()) -> Iterator[str]:
    classes = [' class="number"' if head in set(numbers) else "" for head in heads]
    yield '<div class="wide"><table class="list"><thead><tr>'
    yield "".join(f'<th scope="col"{kind}>{escape(head)}</th>' for head, kind in zip(heads, classes, strict=True))
    yield "</tr></thead><tbody>"
    for row in rows:
        cells = "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, classes, strict=True))
        yield f"<tr>{cells}</tr>"
    yield "</tbody></table></div>"


def escape(text: str) -> str:
    """Return a text for HTML, without markup and control characters."""
    return without_markup(neutral(text))

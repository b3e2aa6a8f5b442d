"""The page of `marquee status --html`: its heat map, numbers and lists, and that it loads nothing else."""

import re
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser

from marquee.calendar import Period
from marquee.report.pages import DAYS_SHOWN, OPEN_SHOWN, status_page
from marquee.runs.stage import State
from marquee.runs.status import PeriodStatus

NOW = datetime(2026, 1, 7, 0, 30, tzinfo=UTC)
MADE = datetime(2026, 1, 6, 23, 30, tzinfo=UTC)
UNCLOSED = {"meta"}


def made(stage: str, period: str, rows: int = 7, rejects: int = 0, state: State = State.DONE) -> PeriodStatus:
    """Return the status of a period that was made once."""
    return PeriodStatus(stage, Period.parse(period), state, rows, rejects, generation=1, made_at=MADE)


def cells_of(page: str, day: str) -> list[tuple[str, str, str]]:
    """Return (kind, letter, title) of each cell of a day in the heat map."""
    (row,) = re.findall(rf'<tr><th scope="row">{day}</th>(.*?)</tr>', page)
    found = re.findall(r'<td class="(\w+)" title="([^"]*)">([^<]*)</td>', row)
    return [(kind, letter, unescape(title)) for kind, title, letter in found]


def table_of(page: str, heading: str) -> list[list[str]]:
    """Return the rows of the table below a heading."""
    part = page.split(f"<h2>{heading}")[1].split("</table>", maxsplit=1)[0]
    return [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in part.split("<tr>")[2:]]


def test_heat_map_has_a_cell_for_each_hour_and_each_daily_stage() -> None:
    """The heat map has a letter, a colour and a title for each hour and for each daily stage."""
    page = status_page(
        [
            made("schedule_fetch", "2026-01-06"),
            made("rollup", "2026-01-06T20", rows=1200, rejects=3),
            PeriodStatus("rollup", Period.parse("2026-01-06T21"), State.FAILED, reason="9 of 10 lines were rejected"),
            made("rollup", "2026-01-06T22", state=State.STALE),
            PeriodStatus("rollup", Period.parse("2026-01-06T23"), State.PENDING),
            PeriodStatus("rollup", Period.parse("2026-01-07T00"), State.WAITING, reason="not over yet"),
            PeriodStatus("profile", Period.parse("2026-01-06"), State.WAITING, reason="not over yet"),
            made("audience", "2026-W02"),
        ],
        NOW,
    )
    cells = cells_of(page, "2026-01-06")
    assert [letter for _, letter, _ in cells] == [*[""] * 20, "✓", "F", "S", "P", "✓", "·"]
    assert [kind for kind, _, _ in cells[19:]] == ["none", "done", "failed", "stale", "pending", "done", "waiting"]
    assert cells[20][2] == "2026-01-06T20: done; 1,200 rows, 3 rejects, made 2026-01-06 23:30"
    assert cells[21][2] == "2026-01-06T21: failed; 9 of 10 lines were rejected"
    assert cells[23][2] == "2026-01-06T23: pending: can be made now"
    assert cells[24][2] == "2026-01-06: done; 7 rows, 0 rejects, made 2026-01-06 23:30"
    assert [letter for _, letter, _ in cells_of(page, "2026-01-07")] == ["·", *[""] * 23, "", ""]
    # The audience has no column, because it has no period of a day; the latest day comes first.
    assert re.findall(r'<th scope="col">(\w+)</th>', page)[25:27] == ["schedule_fetch", "profile"]
    assert page.index(">2026-01-07</th>") < page.index(">2026-01-06</th>")
    assert "Periods: 4 done, 2 waiting, 1 pending, 1 stale, 1 failed" not in page
    assert "<h1>Periods: 3 done, 2 waiting, 1 pending, 1 stale, 1 failed</h1>" in page


def test_stages_are_told_in_numbers() -> None:
    """The table of stages has periods by state, the newest done period with its age, rows, rejects and last run."""
    page = status_page(
        [
            made("rollup", "2026-01-06T20", rows=1200, rejects=3),
            made("rollup", "2026-01-06T21", rows=34),
            PeriodStatus("rollup", Period.parse("2026-01-06T22"), State.PENDING),
            PeriodStatus("mart_load", Period.parse("2026-01-06T20"), State.PENDING, source="rollup"),
        ],
        NOW,
    )
    assert table_of(page, "Stages") == [
        ["rollup", "2", "0", "1", "0", "0", "2026-01-06T21", "2 h 30 min", "1,234", "3", "1 h 0 min ago"],
        ["mart_load rollup", "0", "0", "1", "0", "0", "–", "–", "0", "0", "–"],
    ]


def test_what_is_not_done_is_listed_with_why() -> None:
    """Periods that are not done are listed by urgency, and their reasons are escaped."""
    said = '<script>alert("x")</script> & more'
    page = status_page(
        [
            PeriodStatus("rollup", Period.parse("2026-01-06T20"), State.PENDING),
            PeriodStatus(
                "rollup",
                Period.parse("2026-01-06T21"),
                State.FAILED,
                reason='<script>alert("x")</script> & more\x1b\x9b\u202e\u2028',
            ),
            made("rollup", "2026-01-06T22"),
        ],
        NOW,
    )
    assert "<script" not in page
    assert not set("\x1b\x9b\u202e\u2028") & set(page)
    assert [[unescape(cell) for cell in row] for row in table_of(page, "Not done: 2")] == [
        ["rollup", "2026-01-06T21", "failed", said + 4 * "\ufffd"],
        ["rollup", "2026-01-06T20", "pending", ""],
    ]


def test_long_histories_are_cut() -> None:
    """The page shows the last days and the first open periods, and its totals count all of them."""
    hours = [f"2025-{month:02}-{day:02}T12" for month in (10, 11, 12) for day in range(1, 31)]
    listed = [
        PeriodStatus("rollup", Period.parse(hour), State.PENDING, reason=str(n)) for n, hour in enumerate(hours * 3)
    ]
    page = status_page(listed, NOW)
    assert page.count('<th scope="row">') == DAYS_SHOWN == 35
    assert '<th scope="row">2025-12-30</th>' in page
    assert "<h1>Periods: 270 pending</h1>" in page
    assert len(table_of(page, "Not done: 270, the first 200 lines of 270")) == OPEN_SHOWN == 200


def test_empty_lake_has_a_page_too() -> None:
    """The page of an empty lake says that there are no periods yet."""
    page = status_page([], NOW)
    assert "<h1>No periods yet</h1>" in page
    assert 'class="map"' not in page


class Outline(HTMLParser):
    """A parser that collects unclosed tags and the names of attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attrs}
        if tag not in UNCLOSED:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_needs_nothing_else() -> None:
    """The page is well-formed, has no scripts, links or external files, and adapts to dark mode."""
    page = status_page([made("rollup", "2026-01-06T20")], NOW)
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert outline.attributes & {"src", "href", "onload", "onclick", "style"} == set()
    assert re.search("https?:|url\\(|@import", page) is None
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    assert '<html lang="en">' in page

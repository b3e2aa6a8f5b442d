"""The review of a period: its sentences, verdicts, page and workbook, on data that is small enough to check by hand."""

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.cli.__main__ import main
from jobs.report.publish import chosen, publish
from jobs.report.settings import ReportOptions, ReportSettings
from marquee.calendar import EVER, Period, Span
from marquee.errors import ConfigError
from marquee.lake.markers import Markers
from marquee.mart.answers import table
from marquee.mart.base import read_mart
from marquee.mart.questions import QUESTIONS, find_question
from marquee.report.files import to_file, write_file
from marquee.report.formats import FILE_FORMATS, FileFormat
from marquee.report.review import svg
from marquee.report.review.answers import Answered, Review, read_review
from marquee.report.review.page import in_order, review_page, shown_of
from marquee.report.review.reading import GENERAL
from marquee.report.review.readings import READINGS, answer_of, findings_of, picture_of, reading_of
from marquee.report.review.verdicts import going, verdicts
from marquee.report.review.words import PERCENT, Number, plain, sentence, several
from marquee.report.review.workbook import answer_workbook, review_workbook
from marquee.storage.local import LocalStore
from tests.helpers_mart import Kiosk, SmallLake, kiosk_of, load

HOUR = 3600
WEEK = "2026-W02"
HOSTILE = """</script><script>alert("1")</script>'&\x1b\u202e"""
FORMULA = "=HYPERLINK(1)"
GONE = dict.fromkeys(map(ord, "\x1b\u202e"), "\ufffd")
"""What is replaced in a title."""
VOID = {"meta", "rect", "circle", "line", "polyline"}


def counts(
    show: int, reach: int | None, hours: int, sole: int | None, country: str = "**", **more: Any
) -> dict[str, Any]:
    """Return a row of audience: nobody is nearly a sole viewer who is not a sole viewer."""
    own = {"sole_viewers": sole, "near_sole_viewers": sole, "loyal_viewers": 0, "multilingual_viewers": 0}
    return {"show_id": show, "country": country, "reach": reach, "watched_seconds": hours * HOUR, **own, **more}


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory, new_kiosk: Callable[[], Kiosk]) -> Kiosk:
    """A mart with a week of six shows, in which 1,000 viewers watched 1,000 hours."""
    store = LocalStore(tmp_path_factory.mktemp("reviewed") / "lake")
    small = SmallLake(store)
    names = {1: "Hit", 2: "Only", 3: "Small", 4: HOSTILE, 5: FORMULA, 6: "Spare"}
    small.capture(
        "2026-01-05",
        shows=[
            {"show_id": one, "name": name, "premiered": date(2026, 1, 6) if name == FORMULA else date(2020, 1, 1)}
            for one, name in names.items()
        ],
        episodes=[{"episode_id": one, "show_id": one} for one in names],
        genres=[{"show_id": one, "genre": "Crime"} for one in names],
        countries=[{"country": "US", "name": "United States"}],
    )
    shows = [
        counts(1, 800, 550, 0),
        counts(2, 100, 150, 40),
        counts(3, 60, 100, 0, loyalty=0.9, return_days=5.0, loyal_viewers=50),
        counts(4, 300, 90, 4),
        counts(5, 70, 60, 0),
        counts(6, 80, 50, 0),
    ]
    base = [
        {"country": one, "active_viewers": 1000, "watched_seconds": 1000 * HOUR, "multilingual_viewers": 100}
        for one in ("**", "US")
    ]
    here = [{**one, "country": "US"} for one in shows]
    here[5] = {**here[5], "reach": None, "sole_viewers": None, "near_sole_viewers": None, "loyal_viewers": None}
    small.audience(WEEK, [*shows, *here], base)
    small.hour("2026-01-05T00", (1, "US", 20, "tv", 3 * HOUR), (2, "US", 8, "tv", HOUR))
    kiosk = new_kiosk()
    load(store, kiosk)
    return kiosk


@pytest.fixture(scope="module")
def review(reviewed: Kiosk) -> Review:
    """The review of the mart's week."""
    return read_review(kiosk_of(reviewed))


@pytest.fixture(scope="module")
def page(review: Review) -> str:
    """The page of the review."""
    return review_page(review)


class Outline(HTMLParser):
    """What a browser finds in a page: elements that do not close, ids, links, and the cells of tables."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open[-4:]):
            self.rows[-1][-1] += data


# The page


def test_page_is_well_formed_and_needs_nothing_else(page: str) -> None:
    """All elements close, ids are unique, links lead to a place on the page or to the credit, and nothing is loaded."""
    outline = Outline(page)
    assert page.startswith("<!DOCTYPE html>")
    assert outline.open == []
    assert len(outline.ids) == len({*outline.ids})
    links = [value for name, value in outline.attributes if name == "href"]
    assert {one.removeprefix("#") for one in links if one.startswith("#")} <= {*outline.ids}
    assert [one for one in links if not one.startswith("#")] == [
        "https://www.tvmaze.com",
        "https://creativecommons.org/licenses/by-sa/4.0/",
    ]
    assert not {name for name, _ in outline.attributes} & {"src", "srcset", "data", "action", "style", "onclick"}
    assert not {"link", "img", "iframe", "object", "form"} & {*outline.tags}
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp", page)


def test_policy_of_the_page_allows_its_own_script_alone(page: str) -> None:
    """The page has one script, the one whose hash its security policy names."""
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def test_titles_are_escaped(page: str) -> None:
    """A title with markup and control characters is text, in tables, sentences and pictures."""
    assert page.count("<script") == 1
    assert not set("\x1b\u202e") & set(page)
    (cell,) = {row[0] for row in Outline(page).rows if "alert" in row[0]}
    assert cell == HOSTILE.translate(GONE)


def test_same_mart_gives_the_same_bytes(reviewed: Kiosk, review: Review, page: str) -> None:
    """Two reviews of a mart are the same page and the same workbook."""
    again = read_review(kiosk_of(reviewed), WEEK)
    assert review_page(again) == page
    assert review_workbook(again) == review_workbook(review)


def test_numbers_of_the_page_are_those_of_the_views(reviewed: Kiosk, page: str) -> None:
    """The table of each question has the rows of the question, with exact numbers for programs."""
    with read_mart(kiosk_of(reviewed)) as mart:
        answers = [mart.query(f"select * from {one.view} order by {one.order}")[1] for one in QUESTIONS]  # noqa: S608
    for question, rows in zip(QUESTIONS, answers, strict=True):
        if question.name == "catalogue" or not rows:
            continue
        part = page.split(f'<section class="question" id="{question.name}"')[1].split("</section>", maxsplit=1)[0]
        table = part.split("<tbody>")[1]
        shown = [re.findall(r'data-v="([^"]+)"', row) for row in table.split("</tr>")[: len(rows)]]
        numbers = [[float(one) for one in row if isinstance(one, int | float)] for row in rows]
        assert [[float(one) for one in row] for row in shown] == numbers, question.name


def test_withheld_counts_stay_empty(review: Review, page: str) -> None:
    """What the mart withholds is a dash in the page: the reach of Spare in the United States."""
    (row,) = (one for one in review.shows if one["title"] == "Spare")
    assert (row["top_country"], row["top_country_reach"]) == (None, None)
    (cells,) = (row for row in Outline(page).rows if row[0] == "Spare" and "because" in row[1])
    assert cells == ["Spare", "could go because nobody watches only this", "50", "80", "0", "0", "0", "–"]


def test_picture_has_words_for_those_who_do_not_see_it(page: str) -> None:
    """Each picture is an image with a title, and says its numbers in words; the table of numbers is beside it."""
    pictures = re.findall(r'<svg role="img".*?</figure>', page, re.DOTALL)
    assert len(pictures) >= 8
    assert all("<title>" in one and "<desc>" in one and "aria-label=" in one for one in pictures)
    assert page.count("<details>") >= len(pictures)


def test_page_of_a_quarter_names_it(page: str) -> None:
    """A period is written as a reader says it, with its first and last day."""
    assert "Week 2 of 2026: 5 January 2026 to 11 January 2026 (UTC)" in page


def test_unknown_period_names_those_there_are(reviewed: Kiosk) -> None:
    """A period without an audience is an error that lists the periods of the mart."""
    with pytest.raises(ConfigError, match=r"no audience of '2026-Q1'. Use one of: 2026-W02"):
        read_review(kiosk_of(reviewed), "2026-Q1")


def colours_of(css: str) -> list[dict[str, str]]:
    """Return the colours by name in the light and in the dark."""
    light, dark, *_ = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", part)) for part in (light, dark)]
    return [found[0], {**found[0], **found[1]}]


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, as WCAG 2 defines it."""
    digits = colour.removeprefix("#")
    full = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    parts = [int(full[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_letters_have_contrast_in_the_light_and_in_the_dark(page: str) -> None:
    """Letters have a contrast of at least 4.5 with what is behind them (WCAG 2, AA), bars one of 3 with the page."""
    assert round(contrast("#000", "#fff"), 1) == 21.0
    for colours in colours_of(page):
        for letters in ("ink", "soft", "link", "keep", "go", "changed", "watch"):
            for behind in ("page", "card"):
                assert contrast(colours[letters], colours[behind]) >= 4.5, (letters, behind, colours)
        for letters, behind in (("on0", "accent"), ("on1", "accent2"), ("on2", "accent3"), ("on3", "accent4")):
            assert contrast(colours[letters], colours[behind]) >= 4.5, (letters, behind)
        assert contrast(colours["accent"], colours["page"]) >= 3


# Sentences


def test_answers_are_sentences(review: Review) -> None:
    """Each question with rows has an answer in words, with the numbers of its rows."""
    said = {name: plain(answer_of(one)) for name, one in review.answers.items()}
    assert said["must-not-cancel"].startswith(
        "Only is the only show of 40 viewers, 40\xa0% of the 100 that it reached."
    )
    assert said["top-shows"].startswith("Hit has the most hours: 550.0, watched by 800 viewers.")
    assert said["after-the-end"] == "There is nothing to show for this period."


def test_findings_say_what_to_keep(review: Review) -> None:
    """The findings name the show whose viewers watch nothing else first, then the small but loyal one."""
    found = [plain(one.text) for one in findings_of(list(review.answers.values()))]
    assert found[0].startswith("Only is the only show of 40 viewers, 40\xa0% of the 100 that it reached. The next")
    assert "Small has a small but loyal audience." in found


def test_sentence_keeps_values_apart() -> None:
    """A sentence has the plural of its numbers, and titles are never part of its markup."""
    assert plain(sentence("{shows} go", shows=several(1, "show", "shows"))) == "1 show go"
    assert plain(sentence("{shows} go", shows=several(1234, "show", "shows"))) == "1,234 shows go"


# Readings


def test_readings_find_their_columns(review: Review) -> None:
    """Each question has the columns by which its answer is read, so that none is read in the general way by mistake."""
    missing = {
        name: set(one.needs) - set(review.answers[name].columns)
        for name, one in READINGS.items()
        if name in review.answers
    }
    assert {name: columns for name, columns in missing.items() if columns} == {}


def test_question_without_a_reading_has_a_picture_all_the_same(review: Review) -> None:
    """An answer of an unknown question, or with other columns, is drawn as bars of its first number."""
    top = review.answers["top-shows"]
    unknown = replace(top, question=replace(top.question, name="new-question"))
    assert reading_of(unknown) is GENERAL
    assert plain(answer_of(unknown)) == "First is Hit: 550.0 hours."
    assert ">Hit<" in picture_of(unknown)
    assert reading_of(replace(top, columns=("title", "reach"))) is GENERAL
    empty = Answered(top.question, top.columns, ())
    assert (picture_of(empty), plain(answer_of(empty))) == ("", "There is nothing to show for this period.")


# Verdicts


def test_verdicts(review: Review) -> None:
    """The first rule that holds decides: sole viewers, loyalty, half of the hours, novelty, nobody's only show."""
    found = {show["title"]: (one.kind, plain(one.because)) for show, one in verdicts(review)}
    assert found == {
        "Hit": ("keep", "it is at place 1 by hours"),  # 550 of 1,000 hours
        "Only": ("keep", "40 viewers watch nothing else"),
        "Small": ("keep", "its audience is small but loyal"),
        HOSTILE: ("weigh up", "4 viewers watch only or nearly only this"),
        FORMULA: ("watch", "it is new: it premiered on 2026-01-06"),
        "Spare": ("could go", "nobody watches only this"),
    }


# Sets of shows


def of_question(review: Review, name: str, rows: list[dict[str, Any]]) -> Answered:
    """Return an answer to a question."""
    question = replace(review.answers["top-shows"].question, name=name, example={})
    return Answered(question, tuple(rows[0]), tuple(rows))


def removed(step: int, title: str, left: int) -> dict[str, Any]:
    """Return a step of the order of removal, of 1,000 viewers; the other orders lose 9 more viewers."""
    shares = {"left_percent": left / 10, "hours_percent": 5.0 * step}
    return {"step": step, "title": title, "left_with_nothing": left, **shares} | {
        f"left_by_{order}": left + 9 for order in ("hours", "reach", "sole")
    }


def test_set_of_shows_could_go(review: Review) -> None:
    """Of 1,000 viewers 5 have nothing once the first two shows are gone, and 40 more once the third is."""
    order = [removed(1, "Spare", 0), removed(2, HOSTILE, 5), removed(3, "Hit", 45)]
    answer = of_question(review, "removal-order", order)
    (compared,) = findings_of([answer])
    assert plain(compared.text) == (
        "To choose 2 shows in another order would leave other numbers of viewers with nothing: 14 by the fewest hours, "
        "14 by the least reach and 14 by the fewest viewers of only this, instead of 5."
    )
    assert plain(answer_of(answer)) == (
        "The first 2 shows of the order together leave 5 viewers with nothing to watch, 0.5\xa0% of all; they have "
        "10\xa0% of all hours. The next is past the limit of 0.5\xa0%."
    )
    assert picture_of(answer).count("<polyline") == 4
    ordered = replace(review, answers={**review.answers, "removal-order": answer})
    judged = verdicts(ordered)
    assert plain(going(ordered, judged)) == (  # Spare has 50 of 1,000 hours, the hostile title 90
        "2 shows could go together and leave 5 viewers with nothing to watch, 0.5\xa0% of all; they have 14\xa0% of "
        "all hours. This is the first 2 steps of the order of removal, up to the limit of 0.5\xa0%. These are Spare "
        f"and {HOSTILE}."
    )
    found = {show["title"]: (one.kind, plain(one.because), show["set_effect"]) for show, one in judged}
    assert found["Spare"] == (
        "could go",
        "it is number 1 in the order of removal, and it leaves nobody with nothing",
        0,
    )
    assert found[HOSTILE][0::2] == ("could go", 5)
    assert found["Hit"] == ("keep", "40 viewers have only this once the shows that cost less are gone", 40)
    assert found["Only"] == ("keep", "40 viewers watch nothing else", None)


def with_rows(review: Review, **answers: list[dict[str, Any]]) -> Review:
    """Return the review with other answers, by the names of questions."""
    named = {name.replace("_", "-"): rows for name, rows in answers.items()}
    return replace(
        review, answers={**review.answers, **{name: of_question(review, name, named[name]) for name in named}}
    )


def verdict_on(review: Review, title: str) -> tuple[str, str]:
    """Return the verdict on a show, and the reason."""
    (found,) = (one for show, one in verdicts(review) if show["title"] == title)
    return found.kind, plain(found.because)


def test_show_kept_for_another_reason_is_not_in_the_set_that_could_go(review: Review) -> None:
    """Small is loyal, so Spare is what could go of the first two steps; the loss of both is the most that it costs."""
    ordered = with_rows(review, removal_order=[removed(1, "Spare", 1), removed(2, "Small", 5), removed(3, "Hit", 45)])
    judged = verdicts(ordered)
    assert plain(going(ordered, judged)) == (
        "1 show could go together and leave at most 5 viewers with nothing to watch, 0.5\xa0% of all; it has 5\xa0% of "
        "all hours. This is the first 2 steps of the order of removal, up to the limit of 0.5\xa0%, without Small, "
        "which other reasons speak for. It is Spare."
    )
    page = review_page(ordered)
    assert "could go together and leave at most" in page
    assert [show["title"] for show, one in judged if one.kind == "could go"] == ["Spare"]


def test_show_past_the_limit_is_weighed_up_for_that(review: Review) -> None:
    """A show past the limit has the limit as its reason; one beyond the order costs at least as its last step."""
    order = [removed(1, "Only", 5), removed(2, "Spare", 9)]
    assert verdict_on(with_rows(review, removal_order=order), "Spare") == (
        "weigh up",
        "it is step 2 of removal, past the limit of 0.5\xa0% of viewers left with nothing, which is at step 1",
    )
    kind, because = verdict_on(with_rows(review, removal_order=order), HOSTILE)
    assert kind == "weigh up"
    assert because == (
        "it costs 4 viewers or more, as it is after all 2 steps of removal, past the limit of 0.5\xa0% of viewers left "
        "with nothing, which is at step 1"
    )
    assert verdict_on(with_rows(review, removal_order=[removed(1, "Only", 5), removed(2, "Spare", 35)]), HOSTILE) == (
        "keep",
        "at least 30 viewers have only this once the shows that cost less are gone",
    )
    assert verdict_on(with_rows(review, removal_order=[removed(1, "Only", 5)]), HOSTILE) == (
        "weigh up",
        "the order of removal ends at step 1, before it and before the limit",
    )


def alike(title: str, other: str, share: float = 100.0) -> dict[str, Any]:
    """Return how many of the 80 viewers of a show watch another."""
    return {"title": title, "other_title": other, "place": 1, "share_percent": share} | {
        "affinity_index": 500,
        "viewers": 80,
    }


def test_two_shows_with_the_same_viewers_do_not_both_go(review: Review) -> None:
    """The later of two shows with the same viewers is kept, though the order does not reach it, and both are named."""
    order = [removed(1, "Spare", 0), removed(2, "Only", 45)]
    same = with_rows(review, removal_order=order, overlap=[alike("Spare", HOSTILE), alike(HOSTILE, "Spare")])
    assert verdict_on(same, HOSTILE) == (
        "keep",
        "its 80 viewers are those of Spare, which costs less: they lose both if this goes, too",
    )
    assert verdict_on(same, "Spare") == (
        "could go",
        f"it is number 1 in the order of removal, and it leaves nobody with nothing; {HOSTILE} has the same viewers",
    )
    (found,) = findings_of([same.answers["overlap"]])
    assert plain(found.text).endswith(
        "have the same 80 viewers: without one of them they have the other, without both they lose both."
    )
    cheap = [removed(1, "Spare", 0), removed(2, HOSTILE, 5)]
    others = with_rows(review, removal_order=cheap, overlap=[alike("Spare", HOSTILE), alike(HOSTILE, "Spare")])
    assert verdict_on(others, HOSTILE)[0] == "could go"  # the viewers of both watch other shows, too
    half = with_rows(review, removal_order=order, overlap=[alike("Spare", HOSTILE), alike(HOSTILE, "Spare", 99.0)])
    assert verdict_on(half, HOSTILE)[0] == "keep"  # the order ends with 45 viewers
    assert findings_of([half.answers["overlap"]]) == []


def test_loyal_viewers_are_a_cost(review: Review) -> None:
    """A show that leaves nobody with nothing is weighed up if at least ten viewers are loyal to it."""
    (spare,) = (show for show in review.shows if show["title"] == "Spare")
    catalogue = [{**show, "loyal_viewers": 70} if show is spare else dict(show) for show in review.shows]
    order = [removed(1, "Spare", 0)]
    assert verdict_on(with_rows(review, catalogue=catalogue, removal_order=order), "Spare") == (
        "weigh up",
        "70 of its 80 viewers are loyal to it, though it leaves nobody with nothing",
    )


def test_show_that_ended_and_fell_is_not_kept_by_its_hours(review: Review) -> None:
    """Hit has most hours, but ended within the period and kept a tenth of what is to be expected."""
    days = {"ended": date(2026, 1, 8), "days_before": 4, "days_after": 3}
    hours = {"before_hours_a_day": 50.0, "after_hours_a_day": 5.0}
    fell = with_rows(review, after_the_end=[{"title": "Hit", **days, **hours, "after_percent": 11.3}])
    assert verdict_on(fell, "Hit") == (
        "weigh up",
        "it ended on 2026-01-08, and kept 11.3\xa0% of the hours to expect; many of its hours may be from before",
    )
    (found,) = findings_of([fell.answers["after-the-end"]])
    assert plain(found.text).endswith("leads to expect; this compares 4 days before with 3 after.")
    stayed = with_rows(review, after_the_end=[{"title": "Hit", **days, **hours, "after_percent": 80.0}])
    assert verdict_on(stayed, "Hit") == ("keep", "it is at place 1 by hours")


def test_table_of_the_order_of_removal_starts_where_cost_begins(review: Review) -> None:
    """Of 100 steps, the last without cost is step 60: the table has it and the 39 after it."""
    answer = of_question(
        review, "removal-order", [removed(step, f"S{step}", max(step - 60, 0)) for step in range(1, 101)]
    )
    before, rows = reading_of(answer).shown(answer, 40)
    assert (before, rows[0]["step"], rows[-1]["step"]) == (59, 60, 99)


def test_shows_that_reach_most_people_together(review: Review) -> None:
    """The first step that reaches four fifths of the viewers is the answer."""
    rows = [
        {"step": step, "title": title, "reached": 10 * share, "reached_percent": float(share), "hours_percent": 30.0}
        | {"reached_by_hours": 10 * share - 50, "reached_by_reach": None}
        for step, (title, share) in enumerate([("Hit", 60), ("Only", 80), ("Small", 85)], start=1)
    ]
    answer = of_question(review, "keep-order", rows)
    assert plain(answer_of(answer)) == (
        "2 shows together reach 800 viewers, 80\xa0% of all; they have 30\xa0% of all hours."
    )
    assert picture_of(answer).count("<polyline") == 2  # the order by reach is not known


# What changes


def test_hours_up_and_reach_down_are_named(review: Review) -> None:
    """A show that fewer viewers watch more is a finding; what is steady, or of too few viewers, is none."""

    def row(kind: str, title: str, trend: str) -> dict[str, Any]:
        hours = {"hours_before": 100.0, "hours_now": 150.5}
        return {"kind": kind, "title": title, "trend": trend, **hours, "reach_before": 90.0, "reach_now": 60.5}

    answer = of_question(
        review,
        "trend",
        [
            row("all", "All shows", "hours steady, reach steady"),
            row("show", "Hit", "hours up, reach down"),
            row("show", "Only", "too few viewers"),
        ],
    )
    assert [plain(one.text) for one in findings_of([answer])] == [
        "Hit: hours up, reach down; from 100 to 150.5 hours a week, from 90 to 60.5 viewers."
    ]
    assert "1 gained hours while they lost viewers" in plain(answer_of(answer))
    judged = verdicts(replace(review, answers={**review.answers, "trend": answer}))
    assert {show["title"]: show["trend"] for show, _ in judged if show["trend"]} == {"Hit": "hours up, reach down"}


def test_first_page_says_what_one_week_does_not_suffice_for(review: Review) -> None:
    """With one week of data, and viewers who are all new, the page compares with nothing before, and says so."""
    few: dict[str, Any] = {"kind": "show", "title": "Hit", "trend": "too few weeks"}
    few |= dict.fromkeys(("hours_before", "hours_now", "reach_before", "reach_now"))
    week = {"kind": "all", "title": "All shows", "week": WEEK, "complete": "yes", "hours": 9.0, "reach": 9}
    one = with_rows(review, trend=[few], trend_by_week=[week])
    page = review_page(replace(one, base=replace(review.base, new_viewers=review.base.active_viewers)))
    first = page.split('<nav aria-label="Contents">', maxsplit=1)[0]
    assert "Nothing is compared with an earlier week" in first
    assert "One complete week of data. Not enough for trends" in first
    assert "All viewers count as new" in first
    assert "definitions:" not in first


def test_next_shows_of_as_many_sole_viewers_are_all_named(review: Review) -> None:
    """Two shows that would lose as many viewers are named together."""
    rows = [
        {"title": title, "reach": 90, "sole_viewers": sole, "sole_percent": None, "near_sole_viewers": sole}
        for title, sole in [("Hit", 40), ("Only", 8), ("Small", 8), ("Spare", 3)]
    ]
    (found,) = findings_of([of_question(review, "must-not-cancel", rows)])
    assert plain(found.text) == "Hit is the only show of 40 viewers. The next, Only and Small, would lose 8 each."


def test_all_viewing_has_the_dayparts_that_the_genre_lacks(review: Review) -> None:
    """Crime has a row in the evening only; the bar of all genres has the morning from the rows of another genre."""
    rows = [
        {"country": "US", "country_name": "United States", "genre": genre, "daypart": daypart, "hours": 9.0}
        | {"share_percent": share, "base_percent": base}
        for genre, daypart, share, base in [
            ("Crime", "evening", 100.0, 75.0),
            ("Drama", "evening", 60.0, 75.0),
            ("Drama", "morning", 40.0, 25.0),
        ]
    ]
    answer = of_question(review, "genre-daypart", rows)
    asked = replace(answer.question, example={"country": "US", "genre": "Crime"})
    drawn = picture_of(replace(answer, question=asked))
    assert "United States: morning 0 %, daytime 0 %, evening 100 %, night 0 %" in drawn
    assert "United States, all genres: morning 25 %, daytime 0 %, evening 75 %, night 0 %" in drawn


def test_steps_of_a_season_are_a_curve(review: Review) -> None:
    """A season is a line from its first episode to the last with enough viewers."""
    rows = [
        {"title": "Hit", "season": 1, "episode": episode, "viewers": 100, "kept_percent": kept}
        for episode, kept in [(1, 100.0), (2, 70.0), (3, 60.0), (4, None)]
    ]
    answer = of_question(review, "season-steps", rows)
    (points,) = re.findall(r'<polyline points="([^"]*)"', picture_of(answer))
    assert points == "0.00,0.00 50.00,30.00 100.00,40.00"


def test_launches_stand_beside_the_median(review: Review) -> None:
    """The latest age of a launch is compared with the median; a slow launch is a finding, an average one is none."""

    def row(title: str, age: int, hours: float, index: float | None) -> dict[str, Any]:
        return {"title": title, "age": age, "reach": 60, "hours": hours, "compared_with": "Drama", "launches": 5} | {
            "median_hours": 40.0,
            "hours_index": index,
        }

    answer = of_question(
        review, "launch", [row("Hit", 1, 9.0, 90.0), row("Hit", 3, 20.0, 50.0), row("Only", 3, 44.0, 110.0)]
    )
    (found,) = findings_of([answer])
    assert plain(found.text) == (
        "Hit, day 3 after its premiere: 20.0 hours and 60 viewers, 50\xa0% of the median hours of 5 launches (Drama)."
    )
    assert picture_of(answer).count('class="mark"') == 2
    few = {**row("Only", 3, 44.0, None), "launches": 2, "median_hours": None}
    assert plain(answer_of(of_question(review, "launch", [few]))) == (
        "Only, day 3 after its premiere: 44.0 hours and 60 viewers. There are too few launches to compare: 2."
    )


def test_episode_after_which_most_stop_is_a_finding(review: Review) -> None:
    """A season whose viewers mostly stop after one episode is named with it, and by its year without separators."""
    rows = [
        {"title": title, "season": 2026, "starters": 100, "stop_after": 4, "stop_percent": percent}
        for title, percent in [("Hit", 70.0), ("Only", 20.0)]
    ]
    (found,) = findings_of([of_question(review, "where-they-stop", rows)])
    assert plain(found.text) == "Hit, season 2026: 70\xa0% of those who start it stop after episode 4."
    stops = with_rows(review, where_they_stop=[{**rows[0], "last_episode": 9, "last_percent": 0.0}, rows[1]])
    assert plain(answer_of(stops.answers["where-they-stop"])).endswith(
        "Of the 100 starters, nobody reached episode 9, the last so far."
    )
    assert verdict_on(stops, "Hit") == (
        "keep",
        "it is at place 1 by hours; but 70\xa0% of the starters of season 2026 stop after episode 4",
    )


def test_viewers_who_left_with_their_show_are_named(review: Review) -> None:
    """A group that left beyond the noise is a finding; what may be chance, or is too little to tell, is none."""

    def row(kind: str, verdict: str, seen: float) -> dict[str, Any]:
        return {"title": "Hit", "kind": kind, "verdict": verdict, "compared": 80, "seen_again_percent": seen} | {
            "expected_percent": 90.0,
            "ended": date(2026, 1, 5),
        }

    rows = [row("sole", "more of them left", 30.0), row("other", "as viewers alike", 88.0)]
    rows.append(row("sole", "more of them left", 45.0) | {"title": "All shows", "ended": None})
    answer = of_question(review, "lost-viewers", [*rows, row("near_sole", "too few to tell", 0.0)])
    (found,) = findings_of([answer])
    assert plain(found.text) == (
        "After Hit ended, 30\xa0% of the 80 who had watched only it were seen again; of viewers alike it is 90\xa0%."
    )
    assert plain(answer_of(answer)) == (
        "Of those who had watched only it, 45\xa0% were seen again within 28 days, against 90\xa0% of viewers alike: "
        "more of them left."
    )


# The workbook


def tree(part: bytes) -> ET.Element:
    """Parse a part of a workbook."""
    return ET.fromstring(part)  # noqa: S314 - our own


def sheets_of(workbook: bytes) -> dict[str, list[list[tuple[str, str]]]]:
    """Return the cells (type, text) of each sheet by name; the type is n for a number, s for a text."""
    main = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(io.BytesIO(workbook)) as book:
        strings = [
            "".join(text.text or "" for text in one.iter(f"{main}t")) for one in tree(book.read("xl/sharedStrings.xml"))
        ]
        names = [one.get("name", "") for one in tree(book.read("xl/workbook.xml")).iter(f"{main}sheet")]
        found = {}
        for number, name in enumerate(names, start=1):
            sheet = tree(book.read(f"xl/worksheets/sheet{number}.xml"))
            assert not list(sheet.iter(f"{main}f")), "a formula"
            rows = (
                [(cell.get("t", "n"), cell.findtext(f"{main}v", "")) for cell in row]
                for row in sheet.iter(f"{main}row")
            )
            found[name] = [[(kind, strings[int(text)] if kind == "s" else text) for kind, text in row] for row in rows]
    return found


def test_workbook_has_a_sheet_for_each_question(review: Review) -> None:
    """The workbook has the catalogue with verdicts, each question with all rows, and their definitions."""
    found = sheets_of(review_workbook(review))
    names = [one.name for one in QUESTIONS if one.name != "catalogue"]
    assert list(found) == ["about", "catalogue", *(one[:31] for one in names), "definitions"]
    rows = found["must-not-cancel"]
    assert [text for _, text in rows[0]][:5] == ["period", "country", "country name", "title", "place"]
    assert ("s", "Only") in rows[1]
    assert ("n", "0.4") in rows[1]  # 40 %, as a share with the format of percent
    assert [row[1][1] for row in found["definitions"][1:]] == [one.words for one in QUESTIONS]
    verdicts_shown = {row[1][1]: row[-2][1] for row in found["catalogue"][1:]}
    assert verdicts_shown["Only"] == "keep"


def test_workbook_has_no_formulas(review: Review) -> None:
    """A title that looks like a formula is a text, and control characters are gone."""
    found = sheets_of(review_workbook(review))
    titles = {row[1] for row in found["catalogue"][1:]}
    assert ("s", FORMULA) in titles
    assert not any(set("\x1b\u202e") & set(text) for _, text in titles)


def test_workbook_of_one_answer_has_typed_columns() -> None:
    """Dates are days of Excel, shares are divided by 100, and missing values are empty."""
    rows = [{"title": "A", "ended": date(2026, 1, 5), "share_percent": 12.5, "reach": None, "known": True}]
    book = sheets_of(answer_workbook("one", list(rows[0]), rows, [["definition", "none"]]))
    assert [text for _, text in book["one"][0]] == ["title", "ended", "share %", "reach", "known"]
    assert book["one"][1] == [("s", "A"), ("n", "46027"), ("n", "0.125"), ("s", "yes")]
    assert book["definitions"][1] == [("s", "definition"), ("s", "none")]


# The commands


@pytest.mark.parametrize("form", FILE_FORMATS)
def test_answer_as_a_file(reviewed: Kiosk, form: FileFormat) -> None:
    """An answer in each format has all rows, and says how far to trust it; the same mart gives the same bytes."""
    question = find_question("must-not-cancel")
    with read_mart(kiosk_of(reviewed)) as mart:
        rows = table(mart, question, only={"country": "**"})
    data = to_file(form, rows, question.name, [("definition", question.reckoning)])
    assert to_file(form, rows, question.name, [("definition", question.reckoning)]) == data
    if form == "xlsx":
        sheets = sheets_of(data)
        assert [row[3] for row in sheets["must-not-cancel"]][1:3] == [("s", "Only"), ("s", HOSTILE.translate(GONE))]
        assert sheets["definitions"][1] == [("s", "definition"), ("s", question.reckoning)]
        return
    read = pq.read_table(io.BytesIO(data)) if form == "parquet" else pa.ipc.open_file(data).read_all()
    assert read == rows
    assert read.schema.metadata[b"trust"].startswith(b"2026-W02")


def test_answer_as_a_file_is_no_list_of_questions(capsys: pytest.CaptureFixture[str]) -> None:
    """A file format needs a question, and the message names one."""
    assert main(["ask", "--format", "parquet"]) == 78
    assert "--format parquet is for an answer: name a question, such as genre-hours" in capsys.readouterr().err


def test_report_writes_the_files_that_it_is_given(page: str, reviewed: Kiosk, tmp_path: Path) -> None:
    """The command writes a page and a workbook by the endings of the files; a mart is all that it needs."""
    settings = kiosk_of(reviewed)
    files = [tmp_path / "review.html", tmp_path / "review.xlsx"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        if settings.password:
            monkeypatch.setenv("MARQUEE_MART__PASSWORD", settings.password.get_secret_value())
        outs = [word for file in files for word in ("--out", str(file))]
        assert main(["report", "--mart", settings.url, "--period", WEEK, *outs]) == 0
    assert files[0].read_text() == page
    assert "catalogue" in sheets_of(files[1].read_bytes())


def test_report_refuses_files_that_it_cannot_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown ending is refused before the mart is read; a folder that does not exist is named."""
    assert main(["report", "--out", str(tmp_path / "review.pdf")]) == 78
    assert "unknown ending '.pdf'. Use .html for a page, or .xlsx for a workbook" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        write_file(tmp_path / "none" / "review.html", b"")


def test_scheduled_run_writes_what_changed(reviewed: Kiosk, tmp_path: Path) -> None:
    """A run writes the page and the workbook of the week below report/ in the lake; another run writes nothing."""
    settings = ReportSettings(lake=(tmp_path / "lake").as_uri(), mart=kiosk_of(reviewed))
    markers = Markers(settings.store)
    assert publish(settings, markers).changed == 1
    assert [one.key for one in settings.store.list()] == [
        "report/2026-W02/review.html",
        "report/2026-W02/review.xlsx",
    ]
    assert publish(settings, markers).changed == 0
    settings.store.delete("report/2026-W02/review.xlsx")
    assert publish(settings, markers, Span.parse("2026-01")).changed == 1
    assert publish(settings, markers, Span.parse("2026-02")).note == "the mart has no audience of such a period yet"


# The periods of a scheduled run


def periods(*names: str) -> list[Period]:
    """Parse periods."""
    return [Period.parse(one) for one in names]


def test_scheduled_run_takes_the_newest_of_each_grain() -> None:
    """Without a period a run takes the two newest weeks, months and quarters; with one, those within it."""
    loaded = periods("2026-01-05", "2026-W01", "2026-W02", "2026-W03", "2026-01", "2026-02", "2026-Q1")
    assert chosen(loaded, EVER, ReportOptions()) == sorted(
        periods("2026-W02", "2026-W03", "2026-01", "2026-02", "2026-Q1")
    )
    assert chosen(loaded, EVER, ReportOptions(grains=("week",), newest=1)) == periods("2026-W03")
    assert chosen(loaded, Span.parse("2026-01"), ReportOptions()) == sorted(periods("2026-W02", "2026-W03", "2026-01"))


def test_unknown_grain_is_an_error() -> None:
    """A grain that no audience has is refused by name."""
    with pytest.raises(ValueError, match=r"Unknown grain 'year'. Use some of day, week, month, quarter"):
        ReportOptions(grains=("year",))


def test_what_decides_comes_first(review: Review) -> None:
    """The page begins with what must not go and what could, and ends with questions that decide nothing alone."""
    names = [one.question.name for one in in_order(list(review.answers.values()))]
    assert names[:2] == ["must-not-cancel", "removal-order"]
    assert names.index("genre-hours") > names.index("trend")


def test_bar_of_a_share_is_that_part_of_its_track() -> None:
    """A share of 70 % fills 70 % of its bar, also where it is the largest."""
    drawn = svg.bars("Shares.", [svg.Bar("A", (70.0,), Number(70.0, 1, PERCENT))])
    assert '<rect x="0%" y="21" width="70%" height="10" class="fill0"/>' in drawn


def test_season_of_a_year_is_a_name() -> None:
    """The number of a season has no thousands separator on the page; its viewers have."""
    (cells,) = shown_of([{"season": 2026, "viewers": 2026}], ["season", "viewers"]).rows
    assert [(cell.numeric, cell.text) for cell in cells] == [(False, "2026"), (True, "")]


def test_map_of_genres_shows_what_its_sentence_counts() -> None:
    """The map has the share of the sentence, not that divided among genres; what has no genre is in it."""
    rows = [
        {"country": "KR", "country_name": "Korea", "genre": genre, "hours": hours, "fractional_hours": divided}
        | {"share_percent": hours, "fractional_percent": divided}
        for genre, hours, divided in (("Unclassified", 50.0, 50.0), ("Romance", 40.9, 30.6))
    ]
    answer = Answered(find_question("genre-hours"), tuple(rows[0]), tuple(rows))
    drawn = picture_of(answer)
    assert "Romance, KR: 40.9 %" in drawn
    assert "Unclassified, KR: 50 %" in drawn
    assert drawn.index("Unclassified, KR") < drawn.index("Romance, KR")


def test_headings_of_a_printed_table_are_no_boxes(page: str) -> None:
    """In print the buttons that sort have no box of their own: a browser repeats their text on no other page."""
    printed = page[page.index("@media print {") :]
    assert "thead th button { display: contents; }" in printed

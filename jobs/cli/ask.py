"""``marquee ask``: lists the questions, or answers one from the mart."""

import argparse

from jobs.cli.options import mart_given
from jobs.mart_load.settings import MartLoadSettings
from marquee.mart.questions import CREDIT, QUESTIONS, ask, find_question
from marquee.report.console import say
from marquee.report.formats import Format
from marquee.report.tables import print_answer, print_rows
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names


def run(given: argparse.Namespace) -> int:
    """List the questions, or answer one."""
    if given.question is None:
        _list_questions(given.format)
        return 0
    question = find_question(given.question)
    check_names()
    only = {**({} if given.all else question.example), **dict(one.split("=", 1) for one in given.only)}
    columns, rows = ask(load_settings(MartLoadSettings, **mart_given(given)).mart, question.name, given.limit, only)
    if given.format != "table":
        print_rows(columns, rows, given.format)
        return 0
    print_answer(question.words, columns, rows)
    say(f"\n{question.reckoning}\n{CREDIT}", "dim")
    return 0


def _list_questions(form: Format) -> None:
    if form == "table":
        print_rows(["name", "question"], [[one.name, one.words] for one in QUESTIONS], form, "marquee ask NAME")
    else:
        columns = ["name", "question", "reckoning"]
        print_rows(columns, [[one.name, one.words, one.reckoning] for one in QUESTIONS], form)

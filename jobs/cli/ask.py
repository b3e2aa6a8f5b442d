"""``marquee ask``: lists the questions, or answers one from the mart."""

import argparse
import logging
import sys
from collections.abc import Mapping

from marquee.errors import ConfigError
from marquee.mart.answers import ROWS_OF_A_TREND, Answered, answer, table
from marquee.mart.base import read_mart
from marquee.mart.questions import CREDIT, QUESTIONS, Question, find_question
from marquee.mart.settings import MartSettings, ReaderSettings
from marquee.report.console import say
from marquee.report.formats import FILE_FORMATS, Format
from marquee.report.tables import print_answer, print_rows
from marquee.runs.arguments import mart_given
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names

log = logging.getLogger(__name__)


def run(given: argparse.Namespace) -> int:
    """List the questions, or answer one."""
    if not given.question:
        if given.format in FILE_FORMATS:
            message = f"--format {given.format} is for an answer: name a question, such as {QUESTIONS[0].name}"
            raise ConfigError(message)
        _list_questions(given.format)
        return 0
    question = find_question(" ".join(given.question))
    check_names()
    settings = load_settings(ReaderSettings, **mart_given(given)).mart
    limit = _limit(given, question)
    only = _only(given, question)
    if given.format in FILE_FORMATS:
        _write_file(given, settings, question, only)
        return 0
    with read_mart(settings) as mart:
        answered = answer(mart, question, limit=limit, only=only, period=given.period, trend=given.trend)
    if given.format == "table":
        print_with_trust(answered)
        say(f"\n{question.reckoning}\n{CREDIT}", "dim")
    else:
        print_rows(answered.columns, answered.rows, given.format)
        _log_trust(answered)
    return 0


def print_with_trust(answered: Answered, width: int | None = None) -> None:
    """Print an answer as a table with what is left out, what there is instead of nothing, and the line of trust."""
    print_answer(answered.heading, answered.columns, answered.rows, width)
    for note in filter(None, (answered.cut, answered.empty)):
        say(note, "bold" if answered.empty else "dim")
    say(f"\n{answered.trust.text()}", "bold" if answered.trust.doubtful else "dim")


def _limit(given: argparse.Namespace, question: Question) -> int:
    if given.limit is not None:
        return int(given.limit)
    if given.format != "table":
        return 0
    return ROWS_OF_A_TREND if given.trend else question.limit


def _only(given: argparse.Namespace, question: Question) -> dict[str, str]:
    """Return the filter: what the question names, unless all is asked for, and what the command line says."""
    short = {name: getattr(given, name) for name in ("country", "genre", "title")}
    named = {} if given.all else question.example
    said = dict(one.split("=", 1) for one in given.only)
    said |= {name: value for name, value in short.items() if value is not None}
    if "title" in said:  # of any kind: the row of everything, which a question may name, has another title
        named = {name: value for name, value in named.items() if name != "kind"}
    return {**named, **said}


def _write_file(given: argparse.Namespace, settings: MartSettings, question: Question, only: Mapping[str, str]) -> None:
    """Write an answer as a file to standard output, all rows unless limited."""
    from marquee.report.files import to_file  # noqa: PLC0415 - one of several forms

    if sys.stdout.isatty():
        message = (
            f"--format {given.format} is a file. Name one: --format {given.format} >{question.name}.{given.format}"
        )
        raise ConfigError(message)
    with read_mart(settings) as mart:
        rows = table(mart, question, limit=given.limit or 0, only=only, period=given.period, trend=given.trend)
    known = {name.decode(): text.decode() for name, text in (rows.schema.metadata or {}).items()}
    filters = ", ".join(f"{name}={value}" for name, value in only.items())
    about = {
        "question": question.words,
        "only": filters,
        "definition": question.reckoning,
        "data": known.get("trust", ""),
        "empty": known.get("empty", ""),
        "credit": CREDIT,
    }
    sys.stdout.buffer.write(to_file(given.format, rows, question.name, [one for one in about.items() if one[1]]))
    for problem in filter(None, (known.get("empty"), known.get("missing"))):
        log.warning("%s: %s", question.name, problem)


def _log_trust(answered: Answered) -> None:
    """Log the line of trust, with its fields in a log of JSON, and what there is instead of nothing."""
    trust, name = answered.trust, answered.question.name
    if answered.empty:
        log.warning("%s: %s", name, answered.empty)
    level = logging.WARNING if trust.doubtful else logging.INFO
    log.log(level, "%s: %s", name, trust.text(), extra={"trust": trust.fields()})


def _list_questions(form: Format) -> None:
    if form == "table":
        rows = [[one.name, one.words, ", ".join(one.also)] for one in QUESTIONS]
        print_rows(["name", "question", "also"], rows, form, "marquee ask NAME")
    else:
        columns = ["name", "question", "reckoning", "also"]
        listed = [[one.name, one.words, one.reckoning, ", ".join(one.also)] for one in QUESTIONS]
        print_rows(columns, listed, form)

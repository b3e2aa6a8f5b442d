"""``marquee help``: its pages agree with the code."""

import re

import pytest

from jobs.cli.__main__ import main
from jobs.cli.help import PAGES, topics
from marquee import errors
from marquee.calendar import Period
from marquee.mart.questions import QUESTIONS
from marquee.runs.stage import State
from marquee.settings.names import known_names


def page(topic: str) -> str:
    """Return the text of a page."""
    return (PAGES / f"{topic}.txt").read_text(encoding="utf-8")


def first_words(topic: str) -> list[str]:
    """Return the first words of the indented lines of a page, which are the names that it lists."""
    return re.findall(r"^ +(\S+)  ", page(topic), re.MULTILINE)


def test_topics_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a topic the command lists every topic with its title."""
    assert main(["help"]) == 0
    listed = capsys.readouterr().out
    assert re.findall(r"^  (\S+) ", listed, re.MULTILINE) == [*topics()]
    assert "  periods       Periods: hours, days, weeks, months and quarters\n" in listed


@pytest.mark.parametrize("topic", topics())
def test_page_is_printed_as_it_is(capsys: pytest.CaptureFixture[str], topic: str) -> None:
    """A help page is printed unchanged and fits a terminal of 80 columns."""
    assert main(["help", topic]) == 0
    assert capsys.readouterr().out == page(topic)
    assert max(map(len, page(topic).splitlines())) < 80


def test_help_of_a_command_is_that_of_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    """`marquee help rollup` prints the same text as `marquee rollup --help`."""
    assert main(["help", "rollup"]) == 0
    by_topic = capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["rollup", "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == by_topic


def test_unknown_topic_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown topic is a usage error that suggests the nearest topic."""
    with pytest.raises(SystemExit) as ended:
        main(["help", "exit-code"])
    assert ended.value.code == 2
    assert "Unknown topic 'exit-code'. Did you mean exit-codes?" in capsys.readouterr().err


def test_page_of_exit_codes_has_all() -> None:
    """The page of exit codes explains each code that a command can end with."""
    kinds = {one.exit_code for one in vars(errors).values() if isinstance(one, type) and hasattr(one, "exit_code")}
    plain = {errors.DONE, errors.USAGE, errors.PIPE_CLOSED, errors.INTERRUPTED, errors.TERMINATED}
    assert {int(word) for word in re.findall(r"^ +(\d+)   ", page("exit-codes"), re.MULTILINE)} == kinds | plain


def test_page_of_states_has_all() -> None:
    """The page of states explains each state of a period."""
    assert first_words("states") == [*State]


def test_page_of_periods_has_only_valid_ones() -> None:
    """The page of periods shows each valid form once."""
    assert [Period.parse(word).grain for word in first_words("periods")[:5]] == [
        "hour",
        "day",
        "week",
        "month",
        "quarter",
    ]


def test_page_of_questions_has_all() -> None:
    """The page of questions lists them in the order of `marquee ask`."""
    assert first_words("questions")[: len(QUESTIONS)] == [one.name for one in QUESTIONS]


@pytest.mark.parametrize("topic", topics())
def test_settings_that_a_page_names_exist(topic: str) -> None:
    """Each setting that a help page names exists."""
    assert {*re.findall(r"MARQUEE_[A-Z0-9_]+", page(topic))} <= known_names() | {"MARQUEE_CONFIG"}

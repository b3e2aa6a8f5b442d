"""``marquee``: every stage, the whole pipeline, and what it found, from the command line."""

import argparse
import dataclasses
import math
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jobs.cli import demo, pipeline, preflight
from jobs.launcher.settings import LauncherSettings
from jobs.mart_load.settings import MartLoadSettings
from jobs.registry import SETTINGS
from jobs.simulate import command as simulate
from jobs.simulate.settings import SimulateSettings
from marquee import __version__
from marquee.errors import ConfigError, worst
from marquee.lake.garbage import GRACE, collect, plan_digest, plan_garbage
from marquee.lake.markers import Markers
from marquee.mart.admin import init_mart, upgrade_mart
from marquee.mart.questions import CREDIT, QUESTIONS, ask, find_question
from marquee.mart.settings import MartSettings
from marquee.report.pages import status_page
from marquee.report.tables import FORMATS, Format, say, say_command, show, show_answer
from marquee.runs.command import (
    EXIT_CODES,
    HelpFormatter,
    add_period_arguments,
    guarded,
    progress_bar,
    read_span,
    run_over,
    summary_of,
)
from marquee.runs.stage import State
from marquee.runs.status import not_done, summarise
from marquee.settings.listing import list_settings
from marquee.settings.loading import load_settings, source_of
from marquee.settings.names import check_names, read_file
from marquee.settings.sections import StageSettings

Command = Callable[[argparse.Namespace], int]

ABOUT = """\
Marquee: from play events and a programme schedule to answers.

Stages read and write a lake (a folder or an S3 bucket) and are told by
settings: environment variables MARQUEE_… or a TOML file named by
MARQUEE_CONFIG; `marquee config` lists them. Periods are in UTC: hours, days,
weeks, months or quarters, such as 2026-01-05T13, 2026-01-05, 2026-W02,
2026-01, 2026-Q1.

New here? `marquee demo` shows all of it on a simulated week.
"""
OPEN_SHOWN = 20
"""How many of the periods that are not done `status` shows."""
DIGEST_SHOWN = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    given = make_parser().parse_args(arguments)
    command: Command = given.do
    return guarded(lambda: command(given))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser("marquee", description=ABOUT, epilog=EXIT_CODES, formatter_class=HelpFormatter)
    parser.add_argument("--version", action="version", version=f"marquee {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_run(commands)
    for step in pipeline.STEPS:
        _add_stage(commands, step)
    _add_status(commands)
    _add_ask(commands)
    _add_mart_commands(commands)
    _add_config(commands)
    _add_preflight(commands)
    _add_gc(commands)
    _add_simulate(commands)
    return parser


def _add(commands: Any, name: str, summary: str, do: Command) -> argparse.ArgumentParser:  # noqa: ANN401 - argparse hides the type
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=EXIT_CODES,
        formatter_class=HelpFormatter,
    )
    parser.set_defaults(do=do)
    return parser


def _add_format(parser: argparse.ArgumentParser, more: str = "") -> None:
    text = f"table for a person, json or csv for a machine{more} (default %(default)s)"
    parser.add_argument("--format", choices=FORMATS, default="table", metavar="FORMAT", help=text)


def _add_mart(parser: argparse.ArgumentParser, *, period: bool = True) -> None:
    parser.add_argument("--mart", metavar="URL", help="the mart, in place of MARQUEE_MART__URL")
    if period:
        text = "the one period of which the mart is, in place of MARQUEE_MART__PERIOD: 2026-Q1, or first/last"
        parser.add_argument("--period", dest="mart_period", metavar="PERIOD", help=text)


def _mart_given(given: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Return the settings of the mart that the command line gives."""
    found = {"url": getattr(given, "mart", None), "period": getattr(given, "mart_period", None)}
    return {"mart": known} if (known := {name: text for name, text in found.items() if text is not None}) else {}


def _add_stage(commands: Any, step: pipeline.Step) -> None:  # noqa: ANN401
    def do(given: argparse.Namespace) -> int:
        span = read_span(parser, given)
        outcome = run_over(step.kind, step.run, step.command, span, force=given.force, **_mart_given(given))
        say(summary_of(step.command, outcome))
        return outcome.exit_code

    parser = _add(commands, step.command, step.summary, do)
    add_period_arguments(parser)
    if step.kind is MartLoadSettings:
        _add_mart(parser)


def _add_run(commands: Any) -> None:  # noqa: ANN401
    def do(given: argparse.Namespace) -> int:
        check_names()
        done = pipeline.run_pipeline(read_span(parser, given), progress_bar)
        for name, outcome in done.items():
            say(summary_of(name, outcome))
        return worst([outcome.exit_code for outcome in done.values()])

    parser = _add(commands, "run", "run all stages, in order, until nothing is pending", do)
    add_period_arguments(parser, force=False, otherwise="all that is pending")


def _add_status(commands: Any) -> None:  # noqa: ANN401
    def do(given: argparse.Namespace) -> int:
        check_names()
        listed = pipeline.read_status(read_span(parser, given), _mart_given(given))
        if given.html is not None:
            _write(given.html, status_page(listed, datetime.now(UTC)))
            return 0
        if given.format == "table" and not given.all:
            _show_summary(listed)
            return 0
        columns = [field.name for field in dataclasses.fields(pipeline.PeriodStatus)]
        show(columns, [[getattr(one, name) for name in columns] for one in listed], given.format, "Periods")
        return 0

    parser = _add(commands, "status", "tell where every period of every stage stands", do)
    add_period_arguments(parser, force=False, otherwise="all there are")
    parser.add_argument("--all", action="store_true", help="list every period, not only those that are not done")
    _add_mart(parser)
    _add_format(parser, ", which list every period")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page with a heat map of the hours instead of printing"
    )


def _show_summary(listed: Sequence[pipeline.PeriodStatus]) -> None:
    rows = [
        [one.stage, *one.periods.values(), one.newest, one.rows, one.rejects, _age(one.age)]
        for one in summarise(listed, datetime.now(UTC))
    ]
    show(["stage", *State, "newest", "rows", "rejects", "age"], rows, "table", "Stages")
    left = [[one.stage, one.period, one.state, one.reason] for one in not_done(listed)]
    if left:
        say("")
        hint = f", of which {OPEN_SHOWN} are shown: --all lists them" if len(left) > OPEN_SHOWN else ""
        show(["stage", "period", "state", "why"], left[:OPEN_SHOWN], "table", f"Not done: {len(left)}{hint}")


def _age(age: timedelta | None) -> str | None:
    return None if age is None else str(age).split(".")[0]


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"{file} cannot be written: {error.strerror}: expected a file in a folder that is there"
        raise ConfigError(message) from error
    say(f"Written: {file}")


def _add_ask(commands: Any) -> None:  # noqa: ANN401
    def do(given: argparse.Namespace) -> int:
        if given.question is None:
            _list_questions(given.format)
            return 0
        question = find_question(given.question)
        check_names()
        only = {**({} if given.all else question.example), **dict(one.split("=", 1) for one in given.only)}
        columns, rows = ask(
            load_settings(MartLoadSettings, **_mart_given(given)).mart, question.name, given.limit, only
        )
        if given.format != "table":
            show(columns, rows, given.format)
            return 0
        show_answer(question.words, columns, rows)
        say(f"\n{question.reckoning}\n{CREDIT}", "dim")
        return 0

    parser = _add(commands, "ask", "list the questions, or answer one from the mart", do)
    parser.add_argument(
        "question", nargs="?", metavar="QUESTION", help="name of the question; without one they are listed"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        type=_assignment,
        metavar="COLUMN=VALUE",
        help="only rows with this value, such as country=KR; more than once for more columns",
    )
    parser.add_argument(
        "--all", action="store_true", help="of every country and genre, not only of those that the question names"
    )
    parser.add_argument("--limit", type=_whole, metavar="ROWS", help="most rows to show, 0 for all")
    _add_mart(parser, period=False)
    _add_format(parser)


def _add_mart_commands(commands: Any) -> None:  # noqa: ANN401
    parser = commands.add_parser(
        "mart",
        help="make a mart in MySQL, or bring it to this version",
        description="Make a mart, or bring it to this version.",
        epilog=EXIT_CODES,
        formatter_class=HelpFormatter,
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, help="what to do")
    summaries = {
        "init": (init_mart, "make the schema in an empty database, and the users whose passwords are set"),
        "upgrade": (upgrade_mart, "bring the schema of a mart to this version, and make its views anew"),
    }
    for name, (act, summary) in summaries.items():

        def do(given: argparse.Namespace, act: Callable[[MartSettings], list[str]] = act) -> int:
            check_names()
            for line in act(load_settings(MartLoadSettings, **_mart_given(given)).mart):
                say(line)
            return 0

        _add_mart(_add(actions, name, summary, do))


def _list_questions(form: Format) -> None:
    if form == "table":
        show(["name", "question"], [[one.name, one.words] for one in QUESTIONS], form, "marquee ask NAME")
    else:
        columns = ["name", "question", "reckoning"]
        show(columns, [[one.name, one.words, one.reckoning] for one in QUESTIONS], form)


def _assignment(text: str) -> str:
    if "=" not in text:
        message = f"{text!r}: expected COLUMN=VALUE"
        raise argparse.ArgumentTypeError(message)
    return text


def _whole(text: str) -> int:
    if not text.isdecimal():
        message = f"{text!r}: expected a whole number, 0 or more"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _add_config(commands: Any) -> None:  # noqa: ANN401
    def do(given: argparse.Namespace) -> int:
        check_names()
        launched = source_of(("launcher",), read_file()) != "default"
        kinds = [kind for kind in SETTINGS if launched or kind is not LauncherSettings]
        show(["setting", "value", "from"], list_settings(kinds), given.format)
        return 0

    parser = _add(commands, "config", "list the settings in force and where each came from, secrets masked", do)
    _add_format(parser)


def _add_preflight(commands: Any) -> None:  # noqa: ANN401
    def do(given: argparse.Namespace) -> int:
        check_names()
        findings = preflight.run_checks(preflight.checks_of())
        show(["check", "verdict", "finding"], [[one.check, one.verdict, one.words] for one in findings], given.format)
        return preflight.exit_code_of(findings)

    parser = _add(commands, "preflight", "check that the stages can work with these settings: stores, policies", do)
    _add_format(parser)


def _add_gc(commands: Any) -> None:  # noqa: ANN401
    def do(given: argparse.Namespace) -> int:
        check_names()
        settings = load_settings(StageSettings)
        grace = GRACE if given.grace_hours is None else given.grace_hours
        plan = plan_garbage(settings.store, Markers(settings.store), datetime.now(UTC), grace)
        digest = plan_digest(plan)[:DIGEST_SHOWN]
        if given.delete not in {None, digest}:
            message = f"--delete {given.delete} is not this plan's digest, {digest}: see the plan without --delete"
            raise ConfigError(message)
        if not plan:
            say(f"There is no garbage older than {grace / timedelta(hours=1):g} hours.")
            return 0
        show(["garbage", "objects", "bytes"], [[one.prefix, one.objects, one.bytes] for one in plan], "table")
        if given.delete is None:
            again = "" if given.grace_hours is None else f" --grace-hours {grace / timedelta(hours=1):g}"
            say("DRY RUN: nothing was deleted. To delete exactly this:")
            say_command(f"  marquee gc{again} --delete {digest}")
        else:
            say(f"Deleted {sum(one.objects for one in collect(settings.store, plan)):,} objects.")
        return 0

    parser = _add(commands, "gc", "list, or delete, what superseded, failed and killed runs have left in the lake", do)
    parser.add_argument(
        "--delete", metavar="DIGEST", help="delete the plan of this digest; without it nothing is deleted"
    )
    parser.add_argument(
        "--grace-hours",
        type=_hours,
        metavar="HOURS",
        help=f"spare what is younger ({GRACE.days} days when left out); runs may be at work on it",
    )


def _hours(text: str) -> timedelta:
    try:
        hours = float(text)
        if hours >= 0 and math.isfinite(hours):
            return timedelta(hours=hours)
    except (ValueError, OverflowError):
        pass
    message = f"{text!r}: expected a number of hours, 0 or more"
    raise argparse.ArgumentTypeError(message)


def _add_simulate(commands: Any) -> None:  # noqa: ANN401
    parser = _add(
        commands, "simulate", "make up play events with planted answers, or serve the schedule alone", simulate.run
    )
    simulate.add_arguments(parser)


def _add_demo(commands: Any) -> None:  # noqa: ANN401
    def do(given: argparse.Namespace) -> int:
        return demo.run(given.folder.resolve(), simulate.settings_of(given, ("days", "events_per_day")))

    parser = _add(commands, "demo", "simulate a week, run everything on it, and print the answers", do)
    folder_help = "where it keeps everything (default %(default)s)"
    parser.add_argument("--folder", type=Path, default=Path(".demo"), metavar="FOLDER", help=folder_help)
    parser.add_argument(
        "--events-per-day",
        type=int,
        default=demo.EVENTS_PER_DAY,
        metavar="N",
        help="size (default %(default)s); below 130000 some planted shows reach too few viewers to be told of",
    )
    parser.add_argument(
        "--days", type=int, default=SimulateSettings().days, metavar="N", help="days of events (default %(default)s)"
    )


if __name__ == "__main__":
    sys.exit(main())

"""The parser of ``marquee``: all commands with their arguments and help.

To keep help fast, it imports nothing else. The module of a command, named as ``module:function``, is imported when the
command runs.
"""

import argparse
import math
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from jobs.cli import completion
from jobs.cli import help as topics
from jobs.registry import MART_LOAD, PIPELINE, REPORT, RETAIN, Job
from jobs.simulate.options import DAYS, OPTIONS
from marquee.calendar import Period, hour
from marquee.report.formats import FILE_FORMATS, FORMATS
from marquee.runs.arguments import Parser, add_period_arguments, whole_number
from marquee.version import __version__

ABOUT = """\
Marquee answers questions about viewership from play events and a programme
schedule.

Its stages read and write a lake, which is a folder or an S3 bucket. Settings
are environment variables MARQUEE_… or entries of the TOML file that
MARQUEE_CONFIG names; `marquee config` lists them. Periods are in UTC: hours,
days, weeks, months or quarters, such as 2026-01-05T13, 2026-01-05, 2026-W02,
2026-01, 2026-Q1.

To start, run `marquee demo`, which shows everything on a simulated week.
"""
DEMO_EVENTS_PER_DAY = 160_000
TRENDS = ("day", "week", "month", "quarter")
"""Grains of a trend; equal to ``marquee.mart.answers.TRENDS``."""
GRACE_DAYS = 7
"""Days before `gc` deletes objects without a marker; equal to ``marquee.lake.garbage.GRACE``."""


def make_parser(first: str = "") -> argparse.ArgumentParser:
    """Return the parser of all commands; when the first word is a command, of that one alone, which takes less time."""
    parser = Parser("marquee", ABOUT)
    parser.add_argument("--version", action="version", version=f"marquee {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    adders: dict[str, Callable[[Any], None]] = {
        "demo": _add_demo,
        "run": _add_run,
        **{job.command: partial(_add_job, job=job) for job in PIPELINE},
        "status": _add_status,
        "ask": _add_ask,
        "report": _add_report,
        "what-if": _add_what_if,
        "mart": _add_mart_commands,
        "config": _add_config,
        "preflight": _add_preflight,
        "verify": _add_verify,
        "gc": _add_gc,
        "erase": _add_erase,
        "rekey": _add_rekey,
        "retain": _add_retain,
        "simulate": _add_simulate,
    }
    for add in [adders[first]] if first in adders else adders.values():
        add(commands)
    if first not in adders:
        completion.add(commands, parser)
        topics.add(commands)
    return parser


def _add(commands: Any, name: str, summary: str, do: str) -> argparse.ArgumentParser:  # noqa: ANN401 - argparse hides the type
    """Add a command; ``do`` names its function, which takes the arguments and returns the exit code."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
    )
    parser.set_defaults(do=do, parser=parser)
    log_help = "format of messages: text for a person, json for a machine (default: text, or MARQUEE_LOG__FORMAT)"
    parser.add_argument("--log", choices=["text", "json"], metavar="FORM", help=log_help)
    return parser


def _add_format(parser: argparse.ArgumentParser, more: str = "") -> None:
    text = f"table for a person, json or csv for a machine{more} (default: %(default)s)"
    parser.add_argument("--format", choices=FORMATS, default="table", metavar="FORMAT", help=text)


def _add_mart(parser: argparse.ArgumentParser, *, period: bool = True) -> None:
    parser.add_argument("--mart", metavar="URL", help="URL of the mart, instead of MARQUEE_MART__URL")
    if period:
        text = "the period that the mart is limited to, instead of MARQUEE_MART__PERIOD: 2026-Q1, or first/last"
        parser.add_argument("--period", dest="mart_period", metavar="PERIOD", help=text)


def _add_demo(commands: Any) -> None:  # noqa: ANN401
    parser = _add(
        commands, "demo", "simulate a week, run the pipeline on it, and print the answers", "jobs.cli.demo:command"
    )
    folder_help = "folder of all files of the demo (default: %(default)s)"
    parser.add_argument("--folder", type=Path, default=Path(".demo"), metavar="FOLDER", help=folder_help)
    parser.add_argument(
        "--events-per-day",
        type=whole_number,
        default=DEMO_EVENTS_PER_DAY,
        metavar="N",
        help="number of events per day (default: %(default)s); below 150000 some answers have too few viewers to show",
    )
    parser.add_argument(
        "--days", type=whole_number, default=DAYS, metavar="N", help="days of events (default: %(default)s)"
    )


def _add_run(commands: Any) -> None:  # noqa: ANN401
    parser = _add(commands, "run", "run all stages in order until nothing is pending", "jobs.cli.run:run_all")
    parser.set_defaults(supervised=True)
    add_period_arguments(parser, force=False, otherwise="all that is pending")
    _add_format(parser)


def _add_job(commands: Any, job: Job) -> None:  # noqa: ANN401
    parser = _add(commands, job.command, job.summary, "jobs.cli.run:run_job")
    parser.set_defaults(job=job, supervised=True)
    add_period_arguments(parser)
    if job is MART_LOAD:
        _add_mart(parser)


def _add_status(commands: Any) -> None:  # noqa: ANN401
    parser = _add(commands, "status", "show the state of every period of every stage", "jobs.cli.status:run")
    add_period_arguments(parser, force=False, otherwise="all periods")
    parser.add_argument("--all", action="store_true", help="list every period, including those that are done")
    _add_mart(parser)
    _add_format(parser, ", which list every period")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write an HTML page with a heat map of the hours instead of printing"
    )


def _add_ask(commands: Any) -> None:  # noqa: ANN401
    parser = _add(commands, "ask", "list the questions, or answer one from the mart", "jobs.cli.ask:run")
    parser.add_argument(
        "question",
        nargs="*",
        metavar="QUESTION",
        help="name of the question, or its words; without it, list the questions",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        type=_assignment,
        metavar="COLUMN=VALUE",
        help="only rows with this value, such as country=KR; repeat it for several columns",
    )
    for name, metavar, text in (
        ("country", "CODE", "only this country: its code, such as KR; '**' is worldwide"),
        ("genre", "GENRE", "only this genre"),
        ("title", "TITLE", "only this show"),
    ):
        parser.add_argument(f"--{name}", metavar=metavar, help=f"{text}; short for --only {name}={metavar}")
    parser.add_argument(
        "--all", action="store_true", help="include every country and genre, not only those that the question names"
    )
    periods = parser.add_mutually_exclusive_group()
    period_help = "the loaded period, such as 2026-W02, or span first/last, to answer for (default: the mart's)"
    periods.add_argument("--period", metavar="PERIOD", help=period_help)
    periods.add_argument(
        "--trend",
        choices=TRENDS,
        metavar="GRAIN",
        help="answer for every loaded day, week, month or quarter, with the period as first column",
    )
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument(
        "--limit",
        type=whole_number,
        metavar="ROWS",
        help="maximum number of rows, of a trend for each period; 0 for all (default: those of the question in a "
        "table, all as json and csv)",
    )
    rows.add_argument("--all-rows", action="store_const", const=0, dest="limit", help="all rows; the same as --limit 0")
    _add_mart(parser, period=False)
    format_help = (
        "table for a person, json or csv for a machine; parquet, arrow or xlsx as a file: --format xlsx >answer.xlsx "
        "(default: %(default)s)"
    )
    parser.add_argument(
        "--format", choices=(*FORMATS, *FILE_FORMATS), default="table", metavar="FORMAT", help=format_help
    )


def _add_report(commands: Any) -> None:  # noqa: ANN401
    parser = _add(commands, "report", REPORT.summary, "jobs.report.command:run")
    period_help = "period of the review, such as 2026-Q1: one whose audience is loaded (default: as `marquee ask`)"
    parser.add_argument("--period", metavar="PERIOD", help=period_help)
    parser.add_argument(
        "--out",
        action="append",
        type=Path,
        metavar="FILE",
        help="file to write: .html for a page, .xlsx for a workbook; repeat it for both (default: review.html)",
    )
    _add_mart(parser, period=False)


def _add_what_if(commands: Any) -> None:  # noqa: ANN401
    summary = "show what is lost when shows go, or in which order to remove or keep them"
    parser = _add(commands, "what-if", summary, "jobs.cli.what_if:run")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--remove",
        nargs="+",
        action="extend",
        default=[],
        metavar="SHOW",
        help="the shows of the set, each by its name in quotes or by # and its id",
    )
    what.add_argument(
        "--order",
        nargs="?",
        const="remove",
        choices=["remove", "keep"],
        metavar="WAY",
        help="the cheapest shows to remove, or the best to keep, step by step: remove (default) or keep",
    )
    parser.add_argument("--country", metavar="CODE", help="only viewers in this country, such as KR; with --remove")
    parser.add_argument(
        "--period",
        metavar="PERIOD",
        help="week, month or quarter to answer for; default: the one with the most hours, of equals the shortest",
    )
    parser.add_argument(
        "--limit", type=whole_number, metavar="STEPS", help="maximum number of steps of --order; 0 for all"
    )
    _add_format(parser)


def _add_mart_commands(commands: Any) -> None:  # noqa: ANN401
    parser = commands.add_parser(
        "mart",
        help="create a mart in MySQL, or upgrade it to this version",
        description="Create a mart, or upgrade it to this version.",
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, help="the action")
    summaries = {
        "init": "create the schema in an empty database, and the users whose passwords are set",
        "upgrade": "replace the views of a mart; empty it if its schema, floor or detail is another",
    }
    for name, summary in summaries.items():
        _add_mart(_add(actions, name, summary, f"jobs.cli.mart:{name}"))


def _add_config(commands: Any) -> None:  # noqa: ANN401
    summary = "list the settings in force with the source of each; secrets are masked"
    _add_format(_add(commands, "config", summary, "jobs.cli.config:run"))


def _add_preflight(commands: Any) -> None:  # noqa: ANN401
    summary = "check that all stages can run here: settings, stores, rights, events, clock"
    _add_format(_add(commands, "preflight", summary, "jobs.cli.preflight:run"))


def _add_verify(commands: Any) -> None:  # noqa: ANN401
    summary = "check every object of the lake; name damage and the commands that repair it"
    parser = _add(commands, "verify", summary, "jobs.cli.verify:run")
    add_period_arguments(parser, force=False, otherwise="all periods")
    _add_format(parser)


def _add_gc(commands: Any) -> None:  # noqa: ANN401
    summary = "list or delete objects that superseded, failed and killed runs left in the lake"
    parser = _add(commands, "gc", summary, "jobs.cli.gc:run")
    parser.add_argument(
        "--delete",
        metavar="DIGEST",
        help="delete the plan with this digest, or with `all` any; without it, only list",
    )
    parser.add_argument(
        "--grace-hours",
        type=_hours,
        metavar="HOURS",
        help=f"keep younger objects, which a run may still need (default: {GRACE_DAYS} days)",
    )


def _add_erase(commands: Any) -> None:  # noqa: ANN401
    summary = "request that users are erased, or show how far the requests are"
    parser = _add(commands, "erase", summary, "jobs.cli.erase:run")
    parser.add_argument(
        "what", nargs="?", choices=["status"], metavar="status", help="show what is erased and what is still due"
    )
    whom = parser.add_mutually_exclusive_group()
    whom.add_argument(
        "--users", type=Path, metavar="FILE", help="file of user ids, one a line; they are hashed and never stored"
    )
    whom.add_argument(
        "--viewers", type=Path, metavar="FILE", help="file of pseudonyms in hexadecimal digits, one a line"
    )
    _add_format(parser, "; of status")


def _add_rekey(commands: Any) -> None:  # noqa: ANN401
    summary = "bring the lake to a newer viewer key, without raw events"
    _add(commands, "rekey", summary, "jobs.cli.rekey:run").set_defaults(supervised=True)


def _add_retain(commands: Any) -> None:  # noqa: ANN401
    parser = _add(commands, "retain", RETAIN.summary, "jobs.retain.command:run")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--delete", metavar="DIGEST", help="end what the plan with this digest says; without it, only list the plan"
    )
    what.add_argument(
        "--yes-plan-of",
        metavar="DAY",
        help="end whatever the plan of this day says, without a dry run: 2026-01-05, or today",
    )


def _add_simulate(commands: Any) -> None:  # noqa: ANN401
    summary = "simulate play events with known answers, or serve the simulated schedule"
    parser = _add(commands, "simulate", summary, "jobs.simulate.command:run")
    parser.add_argument(
        "what",
        nargs="?",
        choices=["serve"],
        metavar="serve",
        help="serve the schedule on this machine until Ctrl-C",
    )
    parser.add_argument(
        "--folder", type=Path, metavar="FOLDER", help="folder to write raw events to (default: MARQUEE_RAW)"
    )
    for name, (default, text) in OPTIONS.items():
        is_date = isinstance(default, date)
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=str if is_date else whole_number,
            default=default,
            metavar="DATE" if is_date else "N",
            help=f"{text} (default: %(default)s)",
        )
    several = parser.add_mutually_exclusive_group()
    several.add_argument(
        "--late", action="store_true", help="write the late-arriving files, after a run without --late"
    )
    several.add_argument(
        "--hour",
        type=_hour,
        metavar="HOUR",
        help="write only this hour, with --events-per-day events, for benchmarks: 2026-01-05T13",
    )
    port_help = "port of serve (default: %(default)s)"
    parser.add_argument("--port", type=whole_number, default=8080, metavar="N", help=port_help)


def _assignment(text: str) -> str:
    if "=" not in text:
        message = f"Invalid condition {text!r}. Use COLUMN=VALUE, such as country=KR"
        raise argparse.ArgumentTypeError(message)
    return text


def _hour(text: str) -> Period:
    try:
        return hour(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _hours(text: str) -> timedelta:
    try:
        hours = float(text)
        if hours >= 0 and math.isfinite(hours):
            return timedelta(hours=hours)
    except (ValueError, OverflowError):
        pass
    message = f"Invalid hours {text!r}. Use a number of 0 or more"
    raise argparse.ArgumentTypeError(message)

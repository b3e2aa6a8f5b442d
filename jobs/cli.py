"""``marquee``: every stage, the whole pipeline, and what it found, from the command line."""

import argparse
import dataclasses
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from jobs import __version__, demo, pipeline
from jobs.common.calendar import Period
from jobs.common.command import add_period_arguments, guarded, progress_bar, read_span, run_over
from jobs.common.commit import Markers
from jobs.common.errors import ConfigError, worst
from jobs.common.gc import GRACE, collect, plan_digest, plan_garbage
from jobs.common.settings import (
    StageSettings,
    check_names,
    env_name,
    load_settings,
    read_file,
    source_of,
)
from jobs.common.stage import State
from jobs.common.store import open_store
from jobs.mart_load.questions import CREDIT, ask, find_question
from jobs.mart_load.settings import MartLoadSettings
from jobs.report import FORMATS, console, show, show_answer
from jobs.settings import SETTINGS
from jobs.simulate.serve import serve
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import add_late_files, simulate, simulate_hour

log = logging.getLogger(__name__)

Command = Callable[[argparse.Namespace], int]

ABOUT = """\
Marquee: from play events and a programme schedule to answers.

Stages read and write a lake (a folder or an S3 bucket) and are told by settings: environment variables MARQUEE_… or
a TOML file named by MARQUEE_CONFIG; `marquee config` lists them. Periods are hours, days, weeks, months or quarters
in UTC: 2026-01-05T13, 2026-01-05, 2026-W02, 2026-01, 2026-Q1.
"""
EXIT_CODES = """\
exit codes: 0 done, or nothing to do; 65 bad input over the threshold; 70 internal; 75 try again;
            76 lost to another run; 78 configuration
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    given = make_parser().parse_args(arguments)
    command: Command = given.do
    return guarded(lambda: command(given))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        "marquee", description=ABOUT, epilog=EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"marquee {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_run(commands)
    for step in pipeline.STEPS:
        _add_stage(commands, step)
    _add_status(commands)
    _add_ask(commands)
    _add_config(commands)
    _add_gc(commands)
    _add_simulate(commands)
    return parser


def _add(commands: Any, name: str, summary: str, do: Command) -> argparse.ArgumentParser:  # noqa: ANN401 - argparse hides the type
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(do=do)
    return parser


def _add_stage(commands: Any, step: pipeline.Step) -> None:  # noqa: ANN401
    def do(given: argparse.Namespace) -> int:
        return run_over(step.kind, step.run, step.command, read_span(parser, given), force=given.force).exit_code

    parser = _add(commands, step.command, step.summary, do)
    add_period_arguments(parser)


def _add_run(commands: Any) -> None:  # noqa: ANN401
    def do(given: argparse.Namespace) -> int:
        check_names(SETTINGS)
        done = pipeline.run_pipeline(read_span(parser, given), progress_bar)
        total = sum(outcome.changed for outcome in done.values())
        if not total:
            console().print("Nothing was pending: all is done already.")
        else:
            console().print(", ".join(f"{name}: {outcome.changed} made" for name, outcome in done.items()))
        return worst([outcome.exit_code for outcome in done.values()])

    parser = _add(commands, "run", "run all stages, in order, until nothing is pending", do)
    add_period_arguments(parser, force=False)


def _add_status(commands: Any) -> None:  # noqa: ANN401
    def do(given: argparse.Namespace) -> int:
        check_names(SETTINGS)
        listed = list(pipeline.read_status(read_span(parser, given)))
        if given.format == "table" and not given.all:
            _show_summary(listed)
        else:
            columns = [field.name for field in dataclasses.fields(pipeline.PeriodStatus)]
            show(columns, [[getattr(one, name) for name in columns] for one in listed], given.format)
        return 0

    parser = _add(commands, "status", "tell where every period of every stage stands", do)
    add_period_arguments(parser, force=False)
    parser.add_argument(
        "--all", action="store_true", help="a line for every period, not only for those that are not done"
    )
    parser.add_argument("--format", choices=FORMATS, default="table", help="json and csv always list every period")


def _show_summary(listed: Sequence[pipeline.PeriodStatus]) -> None:
    now = datetime.now(UTC)
    rows = []
    for stage in dict.fromkeys(one.stage for one in listed):
        own = [one for one in listed if one.stage == stage]
        states = [sum(one.state is state for one in own) for state in State]
        made = [one.made_at for one in own if one.made_at]
        newest = max(
            (one.period for one in own if one.state is State.DONE),
            key=lambda text: Period.parse(text).end,
            default=None,
        )
        age = str(now - max(made)).split(".")[0] if made else None
        rows.append([stage, *states, newest, sum(one.rows for one in own), sum(one.rejects for one in own), age])
    show(["stage", *State, "newest", "rows", "rejects", "age"], rows, "table", "Stages")
    open_ = [[one.stage, one.period, one.state, one.reason] for one in listed if one.state is not State.DONE]
    if open_:
        show(
            ["stage", "period", "state", "why"],
            open_[:OPEN_SHOWN],
            "table",
            f"Not done: {len(open_)} (--all lists them)",
        )


OPEN_SHOWN = 20


def _add_ask(commands: Any) -> None:  # noqa: ANN401
    def do(given: argparse.Namespace) -> int:
        check_names(SETTINGS)
        settings = load_settings(MartLoadSettings)
        only = dict(one.split("=", 1) for one in given.only)
        columns, rows = ask(settings.mart.url, given.question, given.limit, only)
        if given.question is None or given.format != "table":
            show(columns, rows, given.format, "Questions: marquee ask NAME")
            return 0
        question = find_question(given.question)
        show_answer(question.words, columns, rows)
        console().print(question.reckoning, CREDIT, sep="\n", style="dim")
        return 0

    parser = _add(commands, "ask", "list the questions, or answer one from the kiosk", do)
    parser.add_argument("question", nargs="?", help="name of the question; without one they are listed")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        type=_assignment,
        metavar="COLUMN=VALUE",
        help="only such rows, e.g. country=KR",
    )
    parser.add_argument("--limit", type=int, help="most rows to show, 0 for all")
    parser.add_argument(
        "--format", choices=FORMATS, default="table", help="table for a person, json or csv for a machine"
    )


def _assignment(text: str) -> str:
    if "=" not in text:
        message = f"{text!r}: expected COLUMN=VALUE"
        raise argparse.ArgumentTypeError(message)
    return text


def _add_config(commands: Any) -> None:  # noqa: ANN401
    def do(given: argparse.Namespace) -> int:
        check_names(SETTINGS)
        file = read_file()
        found: dict[str, list[str]] = {}
        for kind in SETTINGS:
            try:
                settings: StageSettings | None = load_settings(kind)
            except ConfigError as error:
                log.warning("%s", error)
                settings = None
            for path, value in _leaves(settings):
                found[env_name(path)] = [env_name(path), value, source_of(path, file)]
        show(["setting", "value", "from"], sorted(found.values()), given.format)
        return 0

    parser = _add(commands, "config", "list the settings in force and where each came from, secrets masked", do)
    parser.add_argument(
        "--format", choices=FORMATS, default="table", help="table for a person, json or csv for a machine"
    )


def _leaves(value: Any, above: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str]]:  # noqa: ANN401 - settings or a value
    fields = getattr(type(value), "model_fields", None)
    if fields is None:
        masked = "**********" if isinstance(value, SecretStr) else "" if value is None else str(value)
        return [] if value is None and not above else [(above, masked)]
    return [leaf for name in fields for leaf in _leaves(getattr(value, name), (*above, name))]


def _add_gc(commands: Any) -> None:  # noqa: ANN401
    def do(given: argparse.Namespace) -> int:
        check_names(SETTINGS)
        settings = load_settings(StageSettings)
        grace = GRACE if given.grace_hours is None else timedelta(hours=given.grace_hours)
        plan = plan_garbage(settings.store, Markers(settings.store), datetime.now(UTC), grace)
        show(["garbage", "objects", "bytes"], [[one.prefix, one.objects, one.bytes] for one in plan], "table")
        digest = plan_digest(plan)[:DIGEST_SHOWN]
        if given.delete is None:
            console().print(f"DRY RUN: nothing was deleted. To delete exactly this: marquee gc --delete {digest}")
            return 0
        if given.delete != digest:
            message = f"--delete {given.delete} is not this plan's digest, {digest}: look at the plan, and give that"
            raise ConfigError(message)
        console().print(f"Deleted {sum(one.objects for one in collect(settings.store, plan))} objects.")
        return 0

    parser = _add(commands, "gc", "list, or delete, what superseded, failed and killed runs have left in the lake", do)
    parser.add_argument(
        "--delete", metavar="DIGEST", help="delete the plan of this digest; without it nothing is deleted"
    )
    parser.add_argument("--grace-hours", type=float, help=f"spare what is younger; {GRACE.days} days when left out")


DIGEST_SHOWN = 12


def _add_simulate(commands: Any) -> None:  # noqa: ANN401
    def do(given: argparse.Namespace) -> int:
        settings = _simulation(given)
        store = open_store(_raw_url(given))
        started = time.monotonic()
        with progress_bar("simulate") as advance:
            count = _Count(advance, settings.days * settings.events_per_day)
            if given.hour:
                summary = simulate_hour(settings, store, Period.parse(given.hour), given.events_per_day, count)
            else:
                summary = (add_late_files if given.late else simulate)(settings, store, count)
        if not summary.written:
            console().print(f"{store.url} is complete already: {summary.events:,} events, nothing was written.")
            return 0
        console().print(
            f"{store.url}: {summary.events:,} events in {summary.files:,} files, {summary.duplicates:,} duplicates, "
            f"{summary.malformed:,} malformed lines, {time.monotonic() - started:.1f} s; {summary.late_files} late"
        )
        return 0

    parser = _add(commands, "simulate", "make up play events with planted answers, or serve the schedule alone", do)
    parser.add_argument(
        "what", nargs="?", choices=["serve"], help="serve: the schedule service, on this machine, until Ctrl-C"
    )
    defaults = SimulateSettings()
    parser.add_argument("--folder", type=Path, help="where the raw events go; MARQUEE_RAW when left out")
    parser.add_argument("--start", default=str(defaults.start), help="first day (default %(default)s)")
    parser.add_argument("--days", type=int, default=defaults.days, help="days (default %(default)s)")
    parser.add_argument(
        "--events-per-day", type=int, default=defaults.events_per_day, help="events a day (default %(default)s)"
    )
    parser.add_argument(
        "--partitions", type=int, default=defaults.partitions, help="Kafka partitions (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=defaults.seed, help="which of all services (default %(default)s)")
    parser.add_argument("--hour", help="one busy hour instead, of --events-per-day events, for measuring")
    parser.add_argument("--late", action="store_true", help="bring the files that come late")
    parser.add_argument("--port", type=int, default=8080, help="of serve (default %(default)s)")
    parser.set_defaults(do=lambda given: _serve(given) if given.what else do(given))


class _Count:
    """Events so far, as a progress bar wants them."""

    def __init__(self, advance: Callable[[int, int, str], None], expected: int) -> None:
        self._advance, self._expected, self._so_far = advance, expected, 0

    def __call__(self, events: int) -> None:
        self._so_far += events
        self._advance(self._so_far, max(self._expected, self._so_far), "events")


def _simulation(given: argparse.Namespace) -> SimulateSettings:
    names = ("start", "days", "events_per_day", "partitions", "seed")
    try:
        return SimulateSettings.model_validate({name: getattr(given, name) for name in names})
    except ValidationError as error:
        wrong = "; ".join(
            f"--{str(one['loc'][0]).replace('_', '-')} {one['input']!r}: {one['msg']}" for one in error.errors()
        )
        raise ConfigError(wrong) from None


def _raw_url(given: argparse.Namespace) -> str:
    if given.folder:
        return str(given.folder.resolve().as_uri())
    try:
        return os.environ["MARQUEE_RAW"]
    except KeyError:
        message = "where should the events go? Give --folder, or set MARQUEE_RAW"
        raise ConfigError(message) from None


def _serve(given: argparse.Namespace) -> int:
    settings = _simulation(given)
    with serve(settings, given.port) as url:
        console().print(
            f"{url}/schedule?country=KR&date={settings.start} and {url}/schedule/web?date=…; Ctrl-C ends it"
        )
        while True:
            time.sleep(3600)


def _add_demo(commands: Any) -> None:  # noqa: ANN401
    def do(given: argparse.Namespace) -> int:
        return demo.run(given.folder.resolve(), given.events_per_day)

    parser = _add(commands, "demo", "simulate a week, run everything on it, and print the answers", do)
    parser.add_argument(
        "--folder", type=Path, default=Path(".demo"), help="where it keeps everything (default %(default)s)"
    )
    parser.add_argument("--events-per-day", type=int, default=demo.EVENTS_PER_DAY, help="size (default %(default)s)")


if __name__ == "__main__":
    sys.exit(main())

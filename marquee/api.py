"""The Python API: marts and lakes for notebooks and scripts. ``import marquee`` offers its names.

The settings are those of the command: ``MARQUEE_…`` variables, or the TOML file that ``MARQUEE_CONFIG`` names.
Arguments take precedence over settings. Every failure raises an error of ``marquee.errors``; its message says what to
do.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import pyarrow as pa

from marquee.calendar import Period, Span
from marquee.errors import DONE, BadInputError, ConfigError, LostRaceError, MarqueeError, TryAgainError
from marquee.mart import base
from marquee.mart.answers import table
from marquee.mart.questions import QUESTIONS, Question, audience_periods, find_question
from marquee.mart.settings import MartSettings, ReaderSettings
from marquee.neutral import neutral_lines
from marquee.runs.stage import State
from marquee.runs.status import PeriodStatus
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names, env_name
from marquee.settings.sections import StageSettings

__all__ = ["Lake", "Mart", "PeriodStatus", "Question", "open_lake", "open_mart", "questions"]

COMMAND = (sys.executable, "-P", "-m", "marquee")
"""The command. ``-P`` keeps a ``jobs/`` in the current folder, such as a notebook's, from hiding Marquee's package."""
_FORMAT = env_name(("log", "format"))
_ERRORS: Mapping[int, type[MarqueeError]] = {
    one.exit_code: one for one in (BadInputError, ConfigError, LostRaceError, TryAgainError)
}
_LINES_REPEATED = 10
"""Maximum number of a command's error lines in the API's error. Standard error has all of them."""


def questions() -> tuple[Question, ...]:
    """Return the questions that a mart answers, in the order of the command's list.

    A question has a ``name`` (for ``Mart.ask``), ``words`` (the question itself), ``reckoning`` (how the answer is
    computed) and ``example`` (the column values by which the command filters the answer, such as
    ``{"country": "KR"}``).

    Example:
        >>> import marquee
        >>> question = marquee.questions()[0]
        >>> question.name, question.words
        ('genre-hours', 'What genre gets the most viewing hours in Korea?')
        >>> question.example
        {'country': 'KR'}
    """
    return QUESTIONS


class Mart:
    """A mart to query. ``open_mart`` returns one.

    Each question opens and closes a connection, so a Mart object in a notebook does not block a loader. Within
    ``with``, all questions share one connection: on DuckDB a loader has to wait, on MySQL you see newly loaded rows
    only after the ``with`` block.
    """

    def __init__(self, settings: MartSettings) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._held: base.Mart | None = None

    @property
    def url(self) -> str:
        """The mart's URL."""
        return self._settings.url

    def __repr__(self) -> str:
        return f"<Mart {self.url}>"

    def __enter__(self) -> Self:
        self._held = self._stack.enter_context(base.read_mart(self._settings))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._held = None
        self._stack.close()

    def ask(
        self,
        name: str,
        *,
        only: Mapping[str, str] | None = None,
        period: str | None = None,
        trend: str | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        """Return the answer to a question as an Arrow table, with the columns of the command in the same order.

        The answer is complete by default: without ``only`` it covers all countries and genres, without ``limit`` it
        has all rows. Convert the table with ``.to_pandas()`` or ``polars.from_arrow(…)``.

        The metadata of its schema say how far to trust it: ``trust`` is the line under the command's answer, and
        ``trust_fields`` is the same as JSON (hours, share of unknown shows, rows withheld, times, definitions). If
        hours of its period are missing, ``missing`` says so: ``22 of 24 hours of 2026-01-05 are loaded``. If it has no
        rows, ``empty`` says why.

        Args:
            name: name of a question, such as ``"binge"``.
            only: values that columns must have, such as ``{"country": "KR"}``.
            period: the period to ask about, such as ``"2026-W02"``. Questions about audiences take one of
                ``periods()``. Questions about viewing hours take any span of days (``"2026-01-05/2026-01-08"``) that
                has loaded hours. Default: all hours, and the audience of the period that the command reports.
            trend: a grain, ``"day"``, ``"week"``, ``"month"`` or ``"quarter"``: the answer is that for each loaded
                period of it, with the period as first column. Instead of ``period``.
            limit: maximum number of rows (of a trend, of each period), in the command's order. Default: all rows.

        Raises:
            marquee.errors.ConfigError: the mart, question or column does not exist, or nothing of the period is loaded.
            marquee.errors.TryAgainError: the mart is being loaded, or cannot be reached.

        Example:
            >>> import marquee
            >>> mart = marquee.open_mart()
            >>> answer = mart.ask("genre-hours", only={"country": "KR"}, limit=1)
            >>> answer.select(["country", "genre", "hours"]).to_pylist()
            [{'country': 'KR', 'genre': 'Romance', 'hours': 0.2}]
        """
        question = find_question(name)
        if limit is not None and limit < 1:
            message = f"Invalid limit={limit}. Use a whole number of 1 or more, or leave it out for all rows"
            raise ConfigError(message)
        with self._connected() as mart:
            return table(mart, question, limit=limit or 0, only=only, period=period, trend=trend)

    def sql(self, query: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Run your own SQL query and return the answer as an Arrow table; ``?`` marks a parameter.

        docs/data-dictionary.md describes the tables. Write the query in the SQL of the mart's database. It can only
        read.

        Raises:
            marquee.errors.BadInputError: the database rejects the query.

        Example:
            >>> import marquee
            >>> mart = marquee.open_mart()
            >>> mart.sql("select label from dim_show where show_id = ?", [2]).to_pylist()
            [{'label': 'Case'}]
        """
        with self._connected() as mart:
            return mart.table(query, parameters)

    def periods(self) -> tuple[str, ...]:
        """Return the periods whose audience is loaded, in chronological order: the values for ``ask(period=…)``.

        Example:
            >>> import marquee
            >>> marquee.open_mart().periods()
            ('2026-01-05', '2026-W02', '2026-01', '2026-Q1')
        """
        with self._connected() as mart:
            return tuple(audience_periods(mart))

    @contextmanager
    def _connected(self) -> Iterator[base.Mart]:
        if self._held is not None:
            yield self._held
            return
        with base.read_mart(self._settings) as mart:
            yield mart


def open_mart(
    url: str | os.PathLike[str] | None = None,
    *,
    password: str | None = None,
    tls_ca: str | os.PathLike[str] | None = None,
) -> Mart:
    """Open a mart for questions.

    Args:
        url: URL of the mart, ``duckdb:///folder/kiosk.duckdb`` or ``mysql://user@host:3306/database``, or the path of a
            DuckDB file. Default: ``MARQUEE_MART__URL``, or ``url`` in the section ``[mart]`` of the file that
            ``MARQUEE_CONFIG`` names.
        password: password of the URL's user, in place of ``MARQUEE_MART__PASSWORD``.
        tls_ca: file of CA certificates, in place of ``MARQUEE_MART__TLS_CA``.

    Raises:
        marquee.errors.ConfigError: a setting is missing or wrong, or the mart does not exist.
        marquee.errors.TryAgainError: the mart is being loaded, or cannot be reached.

    Example:
        >>> import marquee
        >>> mart = marquee.open_mart()
        >>> mart.ask("engagement-by-genre").column("genre").to_pylist()
        ['All genres', 'Romance', 'Crime']
        >>> with mart:  # several questions, one connection
        ...     answers = [mart.ask(question.name) for question in marquee.questions()]
        >>> len(answers) == len(marquee.questions())
        True
    """
    check_names()
    given = {
        "url": url if url is None or isinstance(url, str) else _uri(url).replace("file://", "duckdb://", 1),
        "password": password,
        "tls_ca": tls_ca,
    }
    known = {name: value for name, value in given.items() if value is not None}
    mart = Mart(load_settings(ReaderSettings, **({"mart": known} if known else {})).mart)
    with mart:  # fails if the mart does not exist
        return mart


class Lake:
    """A lake and its pipeline. ``open_lake`` returns one."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __repr__(self) -> str:
        return f"<Lake {self.url}>"

    def status(self, period: str | None = None) -> list[PeriodStatus]:
        """Return the state of every period of every stage, and of the mart, as ``marquee status`` shows it.

        Args:
            period: return only periods that overlap this one, such as ``"2026-01-05"``, or this span, such as
                ``"2026-01-05/2026-01-08"``.

        Raises:
            marquee.errors.ConfigError: a setting is missing or wrong.
            marquee.errors.TryAgainError: a store cannot be reached.

        Example:
            >>> import marquee
            >>> lake = marquee.open_lake()
            >>> for one in lake.status("2026-01-05"):
            ...     if one.stage == "rollup":
            ...         print(one.period, one.state, one.rows)
            2026-01-05T10 done 1
            2026-01-05T11 done 0
            2026-01-05T12 done 1
        """
        listed = json.loads(self._command("status", *_period_arguments(period), "--format", "json"))
        return [_status_of(one) for one in listed]

    def run(self, period: str | None = None) -> dict[str, int]:
        """Run all stages until nothing is pending, and return how many periods each has made.

        This runs ``marquee run`` in a separate process and copies its log to standard error. If you interrupt it,
        published periods stay published, and the next run continues.

        Args:
            period: run only this period, such as ``"2026-01-05"``, or span ``"2026-01-05/2026-01-08"``. Default: all
                pending periods.

        Raises:
            marquee.errors.MarqueeError: some periods failed. The subclass depends on the command's exit code.

        Example:
            >>> import marquee
            >>> marquee.open_lake().run()
            {'schedule-fetch': 0, 'rollup': 0, 'profile': 0, 'mart-load': 0}
        """
        listed = json.loads(self._command("run", *_period_arguments(period), "--format", "json"))
        return {one["stage"]: one["made"] for one in listed}

    def what_if(
        self, remove: Sequence[str | int], *, country: str | None = None, period: str | None = None
    ) -> pa.Table:
        """Return what is lost when a set of shows goes, as ``marquee what-if`` does: a row worldwide and by country.

        The set counts as a whole: ``left_with_nothing`` has viewers who watched several of its shows and nothing else,
        whom no single show loses. The counts are over all viewers, and protected: those of one show are rounded to
        multiples of ``mart.min_cell``, as in a mart, those of several more coarsely; hours of few viewers are null.

        Args:
            remove: the shows, each by its name or its id.
            country: only viewers in this country, such as ``"KR"``.
            period: a week, month or quarter. Default: the one with the most hours, of equals the shortest.

        Raises:
            marquee.errors.ConfigError: a show, the country or the period is not in the lake.

        Example:
            >>> import marquee
            >>> lost = marquee.open_lake().what_if(["Case", 1])
            >>> lost.column_names[:4]
            ['period', 'country', 'left_with_nothing', 'left_percent']
        """
        shows = [f"#{one}" if isinstance(one, int) else one for one in remove]
        options = [*(["--country", country] if country else []), *(["--period", period] if period else [])]
        rows = json.loads(self._command("what-if", *options, "--format", "json", *(f"--remove={one}" for one in shows)))
        # A column of nulls alone would have no type.
        texts, numbers = dict.fromkeys(("period", "country"), pa.string()), {True: pa.float64(), False: pa.int64()}
        types = {name: texts.get(name, numbers["hours" in name or "percent" in name]) for name in rows[0]}
        return pa.Table.from_pylist(rows, schema=pa.schema(types))

    def _command(self, *arguments: str) -> str:
        """Run a command and forward its log; return its standard output."""
        environment = {**os.environ, env_name(("lake",)): self.url, _FORMAT: "json"}
        with (
            tempfile.TemporaryFile() as out,
            subprocess.Popen(  # noqa: S603 - our own command
                [*COMMAND, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
            ) as process,
        ):
            try:
                errors = _pass_on(process.stderr)
                code = process.wait()
            except BaseException:  # such as an interrupted notebook
                process.terminate()
                raise
            if code != DONE:
                message = "\n".join(errors[-_LINES_REPEATED:]) or f"marquee {arguments[0]} ended with exit code {code}"
                raise _ERRORS.get(code, MarqueeError)(message)
            out.seek(0)
            return out.read().decode()


def open_lake(url: str | os.PathLike[str] | None = None) -> Lake:
    """Open a lake, to see the state of its pipeline and to run it.

    Args:
        url: URL of the lake, ``file:///folder`` or ``s3://bucket/prefix``, or the path of a folder. Default:
            ``MARQUEE_LAKE``, or ``lake`` in the file that ``MARQUEE_CONFIG`` names. All other settings always come
            from there.

    Raises:
        marquee.errors.ConfigError: a setting is missing or wrong.

    Example:
        >>> import marquee
        >>> lake = marquee.open_lake()
        >>> {one.stage for one in lake.status() if one.state != "done"}
        set()
    """
    check_names()
    given = url if url is None or isinstance(url, str) else _uri(url)
    return Lake(load_settings(StageSettings, **({} if given is None else {"lake": given})).lake)


def _uri(path: os.PathLike[str]) -> str:
    return Path(path).expanduser().resolve().as_uri()


def _period_arguments(period: str | None) -> list[str]:
    """Return a period, or a span, as arguments of the command."""
    if period is None:
        return []
    try:
        Span.parse(period)
    except ValueError as error:
        message = f"period={period!r}: {error}"
        raise ConfigError(message) from error
    first, slash, last = period.partition("/")
    return ["--from", first, "--to", last] if slash else [first]


def _status_of(row: Mapping[str, Any]) -> PeriodStatus:
    """Return the status of a period from a row of the command's output."""
    made_at = None if row["made_at"] is None else datetime.fromisoformat(row["made_at"])
    typed = {"period": Period.parse(row["period"]), "state": State(row["state"]), "made_at": made_at}
    return PeriodStatus(**{**row, **typed})


def _pass_on(lines: IO[str] | None) -> list[str]:
    """Write a command's log to standard error as text; return its errors, or without any the lines outside the log."""
    errors, others = [], []
    for line in lines or ():
        level, message = _log_line(line)
        shown = neutral_lines(message)
        sys.stderr.write(f"{shown}\n" if level in {"", "info"} else f"{level}: {shown}\n")
        sys.stderr.flush()
        if level == "error":
            errors.append(message)
        elif not level:
            others.append(message)
    return errors or others


def _log_line(line: str) -> tuple[str, str]:
    """Return level and message of a line; a line that is not a log record has an empty level."""
    try:
        record = json.loads(line)
        return str(record["level"]), str(record["message"])
    except (ValueError, KeyError, TypeError):
        return "", line.rstrip("\n")

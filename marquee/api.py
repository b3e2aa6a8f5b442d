"""The Python API: marts and lakes for notebooks and scripts. ``import marquee`` offers its names.

Settings are those of the command: ``MARQUEE_…`` variables, or the TOML file that ``MARQUEE_CONFIG`` names. What an
argument gives wins over them. Every failure is an error of ``marquee.errors``, with a text for a person.
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
from pydantic_settings import SettingsConfigDict

from marquee.calendar import Period, Span
from marquee.errors import DONE, BadInputError, ConfigError, LostRaceError, MarqueeError, TryAgainError
from marquee.mart import base
from marquee.mart.questions import QUESTIONS, Question, audience_periods, find_question, query_of
from marquee.mart.settings import MartSettings
from marquee.runs.stage import State
from marquee.runs.status import PeriodStatus
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names, env_name
from marquee.settings.sections import StageSettings

__all__ = ["Lake", "Mart", "PeriodStatus", "Question", "open_lake", "open_mart", "questions"]

COMMAND = (sys.executable, "-P", "-m", "marquee")
"""The command. ``-P``: a folder with a ``jobs/`` of its own, such as that of a notebook, does not hide ours."""
_FORMAT = env_name(("log", "format"))
_ERRORS: Mapping[int, type[MarqueeError]] = {
    one.exit_code: one for one in (BadInputError, ConfigError, LostRaceError, TryAgainError)
}
_TOLD = 10
"""Most lines of a command's errors that the error of the API repeats; all of them were shown before."""


class _ReaderSettings(StageSettings):
    """What reading a mart needs: no lake."""

    model_config = SettingsConfigDict(validate_default=False)
    lake: str = ""
    mart: MartSettings


def questions() -> tuple[Question, ...]:
    """Return the questions that a mart answers, in the order in which the command lists them.

    A question has a ``name`` (for ``Mart.ask``), ``words`` (the question itself), ``reckoning`` (how the answer is
    computed) and ``example`` (the values of columns by which the command narrows it, such as ``{"country": "KR"}``).

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
    """A mart that can be asked; made by ``open_mart``.

    Each question opens a connection and closes it, so a mart that lies open in a notebook keeps no loader out. Within
    ``with`` all questions go through one connection, and a loader has to wait (DuckDB), or what it loads is seen only
    afterwards (MySQL).
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
        limit: int | None = None,
    ) -> pa.Table:
        """Return the answer to a question as an Arrow table, with the columns that the command shows, in their order.

        Nothing is left out unless you say so: without ``only`` the answer is for all countries and genres, without
        ``limit`` it has all rows. ``.to_pandas()`` and ``polars.from_arrow(…)`` take the table further.

        Args:
            name: name of a question, such as ``"binge"``.
            only: values that columns must have, such as ``{"country": "KR"}``.
            period: the period to ask about, such as ``"2026-W02"``. Questions about audiences take one of
                ``periods()``, those about viewing hours any period or span (``"2026-01-05/2026-01-08"``) of which hours
                are loaded. Without it: all hours, and the audience of the period that the command reports.
            limit: most rows to return, those that the command shows first.

        Raises:
            marquee.errors.ConfigError: there is no such mart, question or column, or nothing of the period is loaded.
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
            message = f"limit={limit}: expected a whole number, 1 or more; leave it out for all rows"
            raise ConfigError(message)
        with self._connected() as mart:
            return mart.table(*query_of(mart, question, limit or 0, only or {}, period))

    def sql(self, query: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Return the answer to a query of your own as an Arrow table; ``?`` stands for a parameter.

        docs/data-dictionary.md describes the tables. The query is in the SQL of the database that holds the mart, and
        can only read.

        Raises:
            marquee.errors.BadInputError: the database refuses the query.

        Example:
            >>> import marquee
            >>> mart = marquee.open_mart()
            >>> mart.sql("select label from dim_show where show_id = ?", [2]).to_pylist()
            [{'label': 'Case'}]
        """
        with self._connected() as mart:
            return mart.table(query, parameters)

    def periods(self) -> tuple[str, ...]:
        """Return the periods whose audience is loaded, in the order of time: what ``ask(period=…)`` takes.

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
            DuckDB file. Without it: ``MARQUEE_MART__URL``, or ``url`` in the section ``[mart]`` of the file that
            ``MARQUEE_CONFIG`` names.
        password: password of the URL's user, in place of ``MARQUEE_MART__PASSWORD``.
        tls_ca: file of CA certificates, in place of ``MARQUEE_MART__TLS_CA``.

    Raises:
        marquee.errors.ConfigError: a setting is missing or wrong, or there is no such mart.
        marquee.errors.TryAgainError: the mart is being loaded, or cannot be reached.

    Example:
        >>> import marquee
        >>> mart = marquee.open_mart()
        >>> mart.ask("engagement-by-genre").column("genre").to_pylist()
        ['Romance', 'Crime']
        >>> with mart:  # several questions, one connection
        ...     answers = [mart.ask(question.name) for question in marquee.questions()]
        >>> len(answers)
        13
    """
    check_names()
    given = {
        "url": url if url is None or isinstance(url, str) else _uri(url).replace("file://", "duckdb://", 1),
        "password": password,
        "tls_ca": tls_ca,
    }
    known = {name: value for name, value in given.items() if value is not None}
    mart = Mart(load_settings(_ReaderSettings, **({"mart": known} if known else {})).mart)
    with mart:  # is it there?
        return mart


class Lake:
    """A lake, the settings of its pipeline, and what runs it; made by ``open_lake``."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __repr__(self) -> str:
        return f"<Lake {self.url}>"

    def status(self, period: str | None = None) -> list[PeriodStatus]:
        """Return the state of every period of every stage, and of the mart, as ``marquee status`` shows it.

        Args:
            period: only what touches this period, such as ``"2026-01-05"``, or span ``"2026-01-05/2026-01-08"``.

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

        It does what ``marquee run`` does, in a process of its own. Its log goes to standard error as it comes. What a
        run has published stands, also when you interrupt it; the next run goes on.

        Args:
            period: only this period, such as ``"2026-01-05"``, or span ``"2026-01-05/2026-01-08"``; all that is pending
                without it.

        Raises:
            marquee.errors.MarqueeError: some periods failed; the class is that of the command's exit code.

        Example:
            >>> import marquee
            >>> marquee.open_lake().run()
            {'schedule-fetch': 0, 'rollup': 0, 'profile': 0, 'mart-load': 0}
        """
        listed = json.loads(self._command("run", *_period_arguments(period), "--format", "json"))
        return {one["stage"]: one["made"] for one in listed}

    def _command(self, *arguments: str) -> str:
        """Run a command, passing its log on; return what it printed."""
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
                message = "\n".join(errors[-_TOLD:]) or f"marquee {arguments[0]} ended with exit code {code}"
                raise _ERRORS.get(code, MarqueeError)(message)
            out.seek(0)
            return out.read().decode()


def open_lake(url: str | os.PathLike[str] | None = None) -> Lake:
    """Open a lake, to see the state of its pipeline and to run it.

    Args:
        url: URL of the lake, ``file:///folder`` or ``s3://bucket/prefix``, or the path of a folder. Without it:
            ``MARQUEE_LAKE``, or ``lake`` in the file that ``MARQUEE_CONFIG`` names. All other settings are taken from
            there in any case.

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
    """Return a period, or a span, as the command takes it."""
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
    """Return a period's status of a row that the command prints of it."""
    made_at = None if row["made_at"] is None else datetime.fromisoformat(row["made_at"])
    typed = {"period": Period.parse(row["period"]), "state": State(row["state"]), "made_at": made_at}
    return PeriodStatus(**{**row, **typed})


def _pass_on(lines: IO[str] | None) -> list[str]:
    """Write what a command logs to standard error, as text; return its errors, or the last lines that are no log."""
    errors, others = [], []
    for line in lines or ():
        level, message = _log_line(line)
        sys.stderr.write(f"{message}\n" if level in {"", "info"} else f"{level}: {message}\n")
        sys.stderr.flush()
        if level == "error":
            errors.append(message)
        elif not level:
            others.append(message)
    return errors or others


def _log_line(line: str) -> tuple[str, str]:
    """Return level and message of a line; what is no line of our log has no level."""
    try:
        record = json.loads(line)
        return str(record["level"]), str(record["message"])
    except (ValueError, KeyError, TypeError):
        return "", line.rstrip("\n")

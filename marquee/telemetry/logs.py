"""Logs to standard error: one JSON object per line for programs, or readable text for people."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

from marquee.errors import MarqueeError
from marquee.neutral import neutral, neutral_json

LogForm = Literal["auto", "json", "text"]

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and the fields of ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line = {
            "time": _instant(record).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return neutral_json(json.dumps(line, default=str, ensure_ascii=False))


class TextFormatter(logging.Formatter):
    """``13:02:11 INFO  rollup 2026-01-05T13 published  rows_in=… rejects=not_json:60``, without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        hidden = {"stage", "period", "run_id", "trust"}
        extras = " ".join(f"{name}={_short(value)}" for name, value in _extras(record).items() if name not in hidden)
        line = f"{_instant(record):%H:%M:%S} {record.levelname:<7} {_message(record)}" + (
            f"  {neutral(extras)}" if extras else ""
        )
        traced = self.formatException(record.exc_info).split("\n") if record.exc_info else ()
        return "\n".join([line, *map(neutral, traced)])


def set_up_logs(level: str, form: LogForm) -> None:
    """Send this process's logs to standard error; ``auto`` is text at a terminal and JSON elsewhere."""
    handler = _ToStandardError()
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("botocore", "boto3", "urllib3", "s3transfer", "py4j", "kubernetes"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
    # It warns of odd headers with a traceback and all of what a server sent. The caller judges the response.
    logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


def set_up_logs_of_worker() -> None:
    """Send the logs of a process that Spark has started to standard error: nobody else sets them up there."""
    if not logging.getLogger().handlers:
        set_up_logs("info", "auto")


class _ToStandardError(logging.StreamHandler[TextIO]):
    """Writes to the current standard error, which a progress bar replaces in order to stay below the log."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: object) -> None:
        pass


def _instant(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _message(record: logging.LogRecord) -> str:
    """Return a message on one line; only an error of ours with several lines keeps them."""
    message = record.getMessage()
    for error in record.args if isinstance(record.args, tuple) else ():
        if isinstance(error, MarqueeError) and error.lines and message.endswith(full := str(error)):
            first = message.removesuffix(full) + full.partition("\n")[0]
            return "\n  ".join(map(neutral, (first, *error.lines)))
    return neutral(message)


def _short(value: object) -> object:
    """Return counts by reason without spaces; any other value as it is."""
    return ",".join(f"{name}:{one}" for name, one in value.items()) if isinstance(value, dict) else value


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _PLAIN}

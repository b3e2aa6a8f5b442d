"""Logs to standard error: one JSON object per line for programs, or readable text for people."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

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
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """``13:02:11 INFO  rollup 2026-01-05T13 published  rows_in=… rows_out=…``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        hidden = {"stage", "period", "run_id"}
        extras = " ".join(f"{name}={value}" for name, value in _extras(record).items() if name not in hidden)
        line = f"{_instant(record):%H:%M:%S} {record.levelname:<7} {record.getMessage()}" + (
            f"  {extras}" if extras else ""
        )
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up_logs(level: str, form: LogForm) -> None:
    """Send this process's logs to standard error; ``auto`` is text at a terminal and JSON elsewhere."""
    handler = _ToStandardError()
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("botocore", "boto3", "urllib3", "s3transfer", "py4j", "kubernetes"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))


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


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _PLAIN}

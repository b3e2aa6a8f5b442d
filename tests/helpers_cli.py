"""The command line, called in this process."""

import re

import pytest

from jobs.cli.__main__ import main


def out_of(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """Run a command, check its exit code, and return its output."""
    capsys.readouterr()
    assert main(arguments) == code
    return capsys.readouterr().out


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> str:
    """Run a command, check its exit code and that it prints nothing, and return the one error that it logs."""
    capsys.readouterr()
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    (error,) = re.findall(r"^\d\d:\d\d:\d\d ERROR +(.*(?:\n(?!\d\d:).*)*)$", captured.err, re.MULTILINE)
    return str(error).rstrip("\n")


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command with wrong usage, and return its error, which a line about help follows."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    error, help_line = capsys.readouterr().err.splitlines()
    assert help_line == f"See {error.partition(': error: ')[0]} --help"
    return error

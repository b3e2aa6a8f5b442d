"""The command line, called in this process."""

import json

import pytest

from jobs.cli.__main__ import main


def out_of(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """Run a command that ends with a code, and return what it printed."""
    capsys.readouterr()
    assert main(arguments) == code
    return capsys.readouterr().out


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> str:
    """Run a command that ends with a code, and return the one error that it logged; nothing is printed."""
    capsys.readouterr()
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    (error,) = [line["message"] for line in map(json.loads, captured.err.splitlines()) if line["level"] == "error"]
    return str(error)


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that is used wrongly, and return the last line that it prints."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]

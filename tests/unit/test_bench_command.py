"""What all parts of the benchmark say and return."""

import signal

import pytest

from bench import command

BEGINNING = "Marquee is measured without its compiled modules: "


@pytest.mark.parametrize("reason", [None, "they are of another version"])
def test_figures_without_compiled_modules_are_not_taken_for_those_with_them(
    reason: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Modules that are older than their sources are not used, and the benchmark says so before it measures."""
    monkeypatch.setattr(command, "why_not_compiled", lambda *_: reason)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert command.run_part(lambda *_: {}) == 0
    err = capsys.readouterr().err
    assert err.startswith(f"{BEGINNING}they are of another version. ") if reason else not err

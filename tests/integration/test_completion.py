"""Completion in real shells: the effect of TAB on the start of a command line."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.shells

PATIENCE_S = 60.0
SET_UP = {
    "bash": ("--norc", "--noprofile", "-i"),
    "zsh": ("-f", "-i"),
    "fish": ("--no-config", "-i"),
}
"""Arguments that keep a shell from reading its user's files."""
STARTED = {
    "bash": "PS1='> '; bind 'set enable-bracketed-paste off'; source _marquee; PATH=; marquee() { echo \"GOT:$*:\"; }",
    "zsh": "PS1='> '; fpath=($PWD $fpath); autoload -U compinit; compinit -uD; PATH=; marquee() { echo \"GOT:$*:\"; }",
    "fish": 'function fish_prompt; echo -n "> "; end; source _marquee; function marquee; echo "GOT:$argv:"; end',
}
"""A short prompt, completion by the file `_marquee`, and a ``marquee`` that prints its arguments between marks.

Without PATH neither Marquee nor Python can be started; fish itself needs one to complete files.
"""
CASES = {
    "sched": "schedule-fetch",
    "ask genre-h": "ask genre-hours",
    "ask --form": "ask --format",
    "ask --format c": "ask --format csv",
    "rollup --fr": "rollup --from",
    "run --to 2026-01 --fr": "run --to 2026-01 --from",
    "mart up": "mart upgrade",
    "mart upgrade --mar": "mart upgrade --mart",
    "status --html pag": "status --html page.html",
    "demo --folder fol": "demo --folder folder",
    "completion z": "completion zsh",
    "help exi": "help exit-codes",
    "help preflig": "help preflight",
}
"""The text typed before TAB, and the resulting command line."""


class Terminal:
    """A shell at its own terminal."""

    def __init__(self, shell: str, folder: Path) -> None:
        self._terminal, terminal = pty.openpty()
        environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "TERM": "dumb", "LANG": "C.UTF-8"}
        self._process = subprocess.Popen(
            ["setsid", "--ctty", shell, *SET_UP[shell]],  # fish requires a terminal of its own
            cwd=folder,
            env=environment,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
        )
        os.close(terminal)
        self.type(f"{STARTED[shell]}; echo LOA''DED\n")
        self.read("LOADED")

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._terminal, text.encode())

    def read(self, pattern: str) -> str:
        """Return the first match of the pattern, or of its group, in the further output of the shell."""
        printed, until = "", time.monotonic() + PATIENCE_S
        while not (match := re.search(pattern, printed)):
            assert select.select([self._terminal], [], [], max(until - time.monotonic(), 0))[0], printed
            printed += os.read(self._terminal, 4096).decode(errors="replace")
        return match.group(match.lastindex or 0)

    def close(self) -> None:
        """End the shell."""
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


@pytest.mark.parametrize("shell", SET_UP)
def test_tab_completes_commands_options_names_and_files(tmp_path: Path, shell: str) -> None:
    """The script printed by `marquee completion` completes commands, options, names and files in its shell."""
    with (tmp_path / "_marquee").open("w") as script:
        subprocess.run([sys.executable, "-m", "marquee", "completion", shell], stdout=script, check=True)
    (tmp_path / "folder").mkdir()
    (tmp_path / "page.html").touch()
    terminal = Terminal(shell, tmp_path)
    completed = {}
    try:
        for typed in CASES:
            terminal.type(f"marquee {typed}\t\n")
            completed[typed] = terminal.read(r"GOT:(.*?)[/ ]?:")
    finally:
        terminal.close()
    assert completed == CASES

"""Pages of the documentation as programs: their code blocks, and a shell that runs them from top to bottom.

A page is run as a reader works through it: all of its ``sh`` blocks in one shell, in an empty folder, without any
preparation. These marks in the Markdown describe a block:

    <!-- not run: REASON -->    above a block: it needs what one machine, or an empty folder, does not have
    ... as `NAME`:              at the end of the line above toml or json: the reader saves it as this file
    ```text                     the output of the commands above, line by line, in order; ``…`` is any text

The ``python`` blocks of a page are the cells of one session, which runs at the place of the last one.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.s3_server import find_server

ROOT = Path(__file__).parents[2]
PATIENCE_S = 480
"""The longest time for a page."""
ENDS_WITHIN_S = 30
"""The longest time for the servers of a page to end after its commands end them."""
DATA = {"toml", "json"}


@dataclass(frozen=True)
class Block:
    """A code block: its language, its text, why it is not run (if so), and the file to save it as (if any)."""

    language: str
    code: str
    not_run: str = ""
    file: str = ""


@dataclass(frozen=True)
class Ran:
    """The result of a page: the exit code of the shell, its output, and the processes that are still running."""

    exit_code: int
    printed: str
    errors: str
    left: list[str]


def blocks_of(text: str) -> list[Block]:
    """Return the code blocks of a page, in order."""
    found: list[Block] = []
    above = ""
    lines = iter(text.splitlines())
    for line in lines:
        if fence := re.match(r"( *)```(\w*)$", line):
            code = []
            for inner in lines:
                if inner.strip() == "```":
                    break
                code.append(inner.removeprefix(fence[1]) + "\n")
            reason = re.fullmatch(r" *<!-- not run: (.+) -->", above)
            file = re.search(r" as `([\w.-]+)`:$", above) if fence[2] in DATA else None
            found.append(Block(fence[2], "".join(code), reason[1] if reason else "", file[1] if file else ""))
        elif line.strip():
            above = line
    return found


def script_of(blocks: list[Block]) -> str:
    """Return the commands that a reader types and the files that a reader saves, from the top of a page to its end."""
    run = [block for block in blocks if not block.not_run]
    cells = [block for block in run if block.language == "python"]
    parts = []
    for block in run:
        if block.language == "sh":
            parts.append(block.code)
        elif block.language in DATA and block.file:
            parts.append(f"cat >{shlex.quote(block.file)} <<'SAVED'\n{block.code}SAVED\n")
        elif cells and block is cells[-1]:
            parts.append("python - <<'CELLS'\n" + "\n".join(cell.code for cell in cells) + "CELLS\n")
    return "\n".join(parts)


def run_page(script: str, folder: Path) -> Ran:
    """Run a page in an empty folder, stop at its first failure, and end all processes that it started."""
    work, home = folder / "work", folder / "home"
    work.mkdir()
    home.mkdir()
    (folder / "page.sh").write_text(script, encoding="utf-8")
    with (folder / "printed").open("wb") as printed, (folder / "errors").open("wb") as errors:
        shell = subprocess.Popen(
            ["bash", "-e", "-o", "pipefail", str(folder / "page.sh")],
            cwd=work,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=errors,
            start_new_session=True,  # so that what it starts is known by its group
        )
        try:
            shell.wait(PATIENCE_S)
            left = left_behind(shell.pid)
        except subprocess.TimeoutExpired:
            left = [f"all of it, after {PATIENCE_S} s"]
        finally:
            end_group(shell.pid)
            shell.wait()
    texts = {name: (folder / name).read_text(encoding="utf-8", errors="replace") for name in ("printed", "errors")}
    return Ran(shell.returncode, **texts, left=left)


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a new user: the commands in the PATH, a home, a language, but no USER."""
    programs = [Path(find_server()), Path(shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin") or "/")]
    folders = [Path(sys.executable).parent, *(program.parent for program in programs)]
    path = os.pathsep.join([*map(str, dict.fromkeys(folders)), "/usr/local/bin", "/usr/bin", "/bin"])
    return {"HOME": str(home), "LANG": "C.UTF-8", "PATH": path}


def left_behind(group: int) -> list[str]:
    """Return the commands of the processes of a group that still run after a while."""
    deadline = time.monotonic() + ENDS_WITHIN_S
    while (there := living(group)) and time.monotonic() < deadline:
        time.sleep(0.05)  # between two looks
    return there


def living(group: int) -> list[str]:
    """Return the commands of the running processes of a group, without zombies."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            command = (stat.parent / "cmdline").read_text().replace("\0", " ").strip()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        if its_group == str(group) and state != "Z":
            found.append(command)
    return found


def end_group(group: int) -> None:
    """Kill the processes of a group that we started."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def not_printed(shown: str, printed: str) -> list[str]:
    """Return the shown lines that are missing in the printed ones in this order; white space is ignored."""
    rest = iter([words(line) for line in printed.splitlines()])
    wanted = [words(line) for line in shown.splitlines() if line.strip() not in {"", "…"}]
    return [line for line in wanted if not any(fits(line, one) for one in rest)]


def fits(shown: str, printed: str) -> bool:
    """Return whether a shown line matches a printed one; ``…`` stands for any text."""
    return re.fullmatch(".*".join(map(re.escape, shown.split("…"))), printed) is not None


def words(line: str) -> str:
    """Return a line with single spaces between words."""
    return " ".join(line.split())

"""A shell runs each page of the documentation from top to bottom, as a reader would."""

import json
import re
import socket
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from jobs.registry import PIPELINE
from marquee.settings.loading import load_settings
from marquee.settings.names import CONFIG, check_names
from tests.docs.pages import ROOT, Block, blocks_of, not_printed, run_page, script_of

PAGES = {
    path.relative_to(ROOT).as_posix(): blocks_of(path.read_text(encoding="utf-8"))
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("images/*.md")])
}
IN_A_CLUSTER = "docs/operations.md"
"""A page whose commands tests/e2e_cluster runs, like those of the runbooks; test_docs.py checks that."""
NOT_RUN = {
    "CONTRIBUTING.md": ["sets up a clone, from a package registry", "needs a cluster", "needs a cluster"],
    "README.md": ["needs a clone, or a package registry"],
    "docs/get-started.md": ["needs a clone, or a package registry", "needs the extra sail"],
    "docs/kubernetes.md": ["needs a cluster"],
    "docs/release.md": [
        "needs a signed release",
        "needs a release and a registry",
        "needs a release and a registry",
        "needs Docker",
        "needs cosign and a release",
        "needs cosign and a registry",
        "needs an export of OSV",
        "needs uv, package registries and Docker",
    ],
    "docs/rotate-viewer-key.md": ["it needs a cluster"],
    "docs/sizing.md": ["needs a cluster"],
    "docs/retention.md": ["it needs a lake that is old enough"],
    "images/README.md": ["needs Docker", "needs Docker"],
}
"""All blocks that no test runs, by page, with their reasons."""
PORTS = (3307, 7070, 8080)
"""The ports of the servers of the pages."""

EARLY = re.compile(r"\|\s*(?:head\b|grep -\w*[qm]|sed [^|\n]*\d+q)")
"""A command that ends before its input does."""


def of_language(*languages: str) -> list[Block]:
    """Return the blocks of all pages in these languages, with their pages as ids."""
    return [
        pytest.param(block, id=f"{page}-{number}")  # type: ignore[misc]
        for page, blocks in PAGES.items()
        for number, block in enumerate(blocks)
        if block.language in languages
    ]


def runs(blocks: list[Block]) -> bool:
    """Return whether there is a block to run."""
    return any(block.language in {"sh", "python"} and not block.not_run for block in blocks)


@pytest.mark.parametrize("page", [page for page, blocks in PAGES.items() if page != IN_A_CLUSTER and runs(blocks)])
def test_page_runs_from_top_to_bottom(page: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each command of a page succeeds after those before it, prints what the page shows, and leaves no process."""
    script = script_of(PAGES[page])
    taken = [port for port in PORTS if str(port) in script and is_taken(port)]
    assert not taken, f"the page's servers need ports {taken} of this machine, which something else has"
    ran = run_page(script, tmp_path_factory.mktemp("page"))
    assert ran.exit_code == 0, f"{ran.errors[-4000:]}\n{ran.printed[-2000:]}"
    shown = "".join(block.code for block in PAGES[page] if block.language == "text")
    assert not_printed(shown, ran.printed) == [], ran.printed
    assert ran.left == []
    for picture in pictures_of(page):
        assert not_printed(text_of(picture), ran.printed) == [], ran.printed


@pytest.mark.parametrize("page", [page for page, blocks in PAGES.items() if runs(blocks)])
def test_no_command_of_a_page_closes_a_pipe_early(page: str) -> None:
    """No command ends before its input does: under pipefail, the one that still writes would fail at random."""
    assert EARLY.findall(script_of(PAGES[page])) == []


@pytest.mark.parametrize("code", ["sort a | head -1", "a |\n  head", "a | grep -q b", "a | grep -m1 b", "a | sed 3q"])
def test_command_that_closes_a_pipe_early_is_found(code: str) -> None:
    """The expression knows commands that close their input early."""
    assert EARLY.search(code)


def is_taken(port: int) -> bool:
    """Return whether a server listens at a port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def pictures_of(page: str) -> list[Path]:
    """Return the pictures of answers that a page shows."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [path for path in sorted(ROOT.glob("docs/answer*.svg")) if f"{path.name})" in text]


def text_of(picture: Path) -> str:
    """Return the lines that a picture shows, without the command and its title."""
    texts = ET.parse(picture).getroot().iter("{http://www.w3.org/2000/svg}text")  # noqa: S314 - our own file
    return "\n".join("".join(one.itertext()) for one in texts if one.get("class") == "out")


def test_what_is_not_run_is_known_and_little() -> None:
    """The list of blocks that no test runs is complete, and each block has its reason above it."""
    found = {page: [block.not_run for block in blocks if block.not_run] for page, blocks in PAGES.items()}
    assert {page: reasons for page, reasons in found.items() if reasons} == NOT_RUN


def test_every_block_has_a_language_that_is_checked() -> None:
    """Each block has a language that a test checks; test_kafka_connect.py checks properties."""
    known = {"sh", "text", "python", "toml", "json", "properties"}
    assert {block.language for blocks in PAGES.values() for block in blocks} <= known


@pytest.mark.parametrize("block", of_language("toml"))
def test_settings_that_a_page_shows_are_good(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings that a page shows are valid for each stage, together with those that every lake needs."""
    needed = {"lake": "LAKE", "raw": "RAW", "mart": "MART__URL"}
    for name in needed.keys() - tomllib.loads(block.code).keys():
        scheme = "duckdb" if name == "mart" else "file"
        monkeypatch.setenv(f"MARQUEE_{needed[name]}", f"{scheme}://{tmp_path}/{name}")
    monkeypatch.setenv("MARQUEE_ROLLUP__VIEWER_KEY", "0123456789abcdef")
    (tmp_path / "marquee.toml").write_text(block.code, encoding="utf-8")
    monkeypatch.setenv(CONFIG, str(tmp_path / "marquee.toml"))
    check_names()
    for job in PIPELINE:
        load_settings(job.settings)


@pytest.mark.parametrize("block", of_language("json"))
def test_json_that_a_page_shows_is_json(block: Block) -> None:
    """Each JSON block of a page is one valid document."""
    assert json.loads(block.code)


# Tools of these tests.

PAGE = """\
Text with `code`:

```sh
echo one; export WORD=two
```

It prints

```text
one
```

<!-- not run: needs the moon -->
```sh
false
```

Save this as `there.toml`:

```toml
key = 1
```

1. Then

   ```sh
   cat there.toml
   sleep 1000 &
   echo "$WORD ${USER-nobody} $PWD"
   ```
"""


def test_page_is_read_as_a_person_reads_it() -> None:
    """Blocks in lists are dedented, and a reason or a file name applies to the block below it only."""
    assert blocks_of(PAGE) == [
        Block("sh", "echo one; export WORD=two\n"),
        Block("text", "one\n"),
        Block("sh", "false\n", not_run="needs the moon"),
        Block("toml", "key = 1\n", file="there.toml"),
        Block("sh", 'cat there.toml\nsleep 1000 &\necho "$WORD ${USER-nobody} $PWD"\n'),
    ]


def test_page_that_leaves_a_process_behind_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page share a shell without USER, and a process that still runs is reported and ended."""
    monkeypatch.setattr("tests.docs.pages.ENDS_WITHIN_S", 2)
    ran = run_page(script_of(blocks_of(PAGE)), tmp_path)
    assert ran.exit_code == 0
    assert ran.printed == f"one\nkey = 1\ntwo nobody {tmp_path / 'work'}\n"
    assert ran.left == ["sleep 1000"]


def test_page_stops_at_its_first_failure(tmp_path: Path) -> None:
    """A page stops at its first failing command."""
    ran = run_page("echo one\nfalse\necho two\n", tmp_path)
    assert (ran.exit_code, ran.printed, ran.left) == (1, "one\n", [])


def test_page_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that hangs is ended after its time, with the processes that it started."""
    monkeypatch.setattr("tests.docs.pages.PATIENCE_S", 0.1)
    assert run_page("sleep 1000\n", tmp_path).left == ["all of it, after 0.1 s"]


def test_cells_of_a_page_are_one_session(tmp_path: Path) -> None:
    """The Python cells of a page share one session."""
    cells = "```python\na = 1\n```\n\n```sh\necho shell\n```\n\n```python\nprint(a)\n```\n"
    assert run_page(script_of(blocks_of(cells)), tmp_path).printed == "shell\n1\n"


@pytest.mark.parametrize(
    ("shown", "missing"),
    [
        ("a  b\n…\nc\n", []),
        ("b … d\n", []),
        ("c\na b\n", ["a b"]),
        ("b\n", ["b"]),
    ],
    ids=["lines in order", "a part of a line", "another order", "not the whole line"],
)
def test_what_a_page_shows_is_compared_with_what_is_printed(shown: str, missing: list[str]) -> None:
    """Shown lines are compared with printed lines in order, without regard to white space."""
    assert not_printed(shown, "a b\nb c d\nc\n") == missing

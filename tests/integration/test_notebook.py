"""The notebooks of examples/ run from top to bottom on a small demo's mart and are stored without outputs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
QUARTER = ROOT / "examples" / "quarter.ipynb"
RUN = "import json, sys\nfor cell in json.load(sys.stdin): exec(cell, globals())"
"""The behaviour of a kernel: all cells in one process, in order."""


def read_cells(notebook: Path) -> list[dict[str, Any]]:
    """Return the cells of a notebook."""
    cells: list[dict[str, Any]] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return cells


def run_cells(notebook: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the code of a notebook in a fresh process, in a folder."""
    code = ["".join(cell["source"]) for cell in read_cells(notebook) if cell["cell_type"] == "code"]
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(code),
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo of one small day, and a folder for notebooks below it."""
    made = tmp_path_factory.mktemp("demo")
    size = ["--days", "1", "--events-per-day", "3000"]
    command = [sys.executable, "-m", "marquee", "demo", "--folder", str(made / ".demo"), *size]
    subprocess.run(command, check=True, capture_output=True)
    (made / "examples").mkdir()
    return made


def test_the_notebook_runs_on_the_demo(folder: Path) -> None:
    """Every cell runs in one process, and the notebook finds the demo from its own folder."""
    ran = run_cells(QUARTER, folder / "examples")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "binge                  Do people binge-watch this show?" in ran.stdout
    assert re.search(r"2026-01-05 +\d+\.0 +█{40}", ran.stdout), "the hours of the only day are the longest bar"
    assert [period for period in ("2026-W02", "2026-01 ", "2026-Q1") if f"│ {period}" not in ran.stdout] == []


def test_the_notebook_says_what_it_needs(tmp_path: Path) -> None:
    """Without a demo, the notebook ends with its first cell, which says what is missing."""
    ran = run_cells(QUARTER, tmp_path)
    assert ran.returncode == 1
    assert ran.stderr == "There is no demo in this folder or above it: run `marquee demo` first.\n"


@pytest.mark.parametrize("notebook", sorted((ROOT / "examples").glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_kept_without_outputs(notebook: Path) -> None:
    """Notebooks have format 4.5, an id in each cell, and no outputs."""
    book = json.loads(notebook.read_text(encoding="utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    cells = read_cells(notebook)
    assert len({cell["id"] for cell in cells}) == len(cells)
    assert {cell["cell_type"] for cell in cells} == {"code", "markdown"}
    for cell in cells:
        assert all(isinstance(line, str) for line in cell["source"])
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


def test_links_of_notebooks_lead_to_files() -> None:
    """Relative links of notebooks, resolved from the folder of the notebook, lead to existing files."""
    text = "".join("".join(cell["source"]) for cell in read_cells(QUARTER) if cell["cell_type"] == "markdown")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert links
    assert [link for link in links if not (QUARTER.parent / link).is_file()] == []

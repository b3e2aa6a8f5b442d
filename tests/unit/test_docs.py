"""The documentation against the code: generated pages are up to date, and the names on pages exist."""

import json
import re
import textwrap
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from jobs.cli import parser as cli
from jobs.profile.settings import ProfileOptions
from jobs.registry import JOBS, PIPELINE
from jobs.rollup import contract
from jobs.simulate.planted import ANSWERS
from marquee import __version__, errors
from marquee.calendar import Period
from marquee.lake import keys
from marquee.lake.datasets import DATASETS
from marquee.lake.manifest import Marker
from marquee.mart.questions import QUESTIONS
from marquee.runs.arguments import EXIT_CODES
from marquee.settings.loading import load_settings
from marquee.settings.names import CONFIG, check_names
from marquee.settings.sections import setting_names
from tools import docs
from tools.docs_commands import subcommands
from tools.docs_dictionary import SEE

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("charts/*/*.md")])
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
GET_STARTED = (ROOT / "docs" / "get-started.md").read_text()
YOUR_OWN_EVENTS = (ROOT / "docs" / "your-own-events.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
CONTRACT = (ROOT / "docs" / "event-contract.md").read_text()
DEFINITIONS = (ROOT / "docs" / "definitions.md").read_text()
DICTIONARY = (ROOT / "docs" / "data-dictionary.md").read_text()
GENERATED = {name for name in docs.FILES if name.startswith("docs/")}
GUIDES = [page for page in PAGES if page.parent == ROOT / "docs" and f"docs/{page.name}" not in GENERATED]
"""The hand-written pages."""
COMMANDS = subcommands(cli.make_parser())
SETTING_NAMES = {name for kind in (job.settings for job in JOBS) for name in setting_names(kind)}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def part_of(text: str, heading: str) -> str:
    """Return the text below a heading, up to the next heading of any level."""
    below = re.split(rf"^#+ {re.escape(heading)}\n", text, flags=re.MULTILINE)[1]
    return re.split(r"^#", below, flags=re.MULTILINE)[0]


def first_cells(text: str) -> list[str]:
    """Return the first cell of each row of the tables in a text, without code marks."""
    cells = re.findall(r"^\| ([^|]+?) +\|", text, re.MULTILINE)
    return [
        cell.strip("`")
        for number, cell in enumerate(cells)
        if cell != "---" and "---" not in cells[number + 1 : number + 2]
    ]


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a language."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for block in found]


def code_in(text: str) -> list[str]:
    """Return each line of code, both in blocks and between backticks."""
    fenced = re.findall(r"^ *```\w*\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line.strip() for block in fenced for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", rest)


def first_word(text: str) -> str:
    """Return the first word of a text."""
    return text.split(maxsplit=1)[0]


def anchors(page: Path) -> set[str]:
    """Return the anchors that a code host makes of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


# Generated pages.


@pytest.mark.parametrize("name", sorted(docs.FILES))
def test_generated_file_is_up_to_date(name: str) -> None:
    """Each generated file is the same as the output of `make docs`."""
    assert (ROOT / name).read_text() == docs.FILES[name]()


def test_check_finds_what_is_out_of_date_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check names missing and changed pages and writes nothing; `make docs` then writes both."""
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    assert docs.main([]) == 0
    (tmp_path / "docs" / "commands.md").unlink()
    (tmp_path / "docs" / "settings.md").write_text("by hand")
    capsys.readouterr()
    assert docs.main(["--check"]) == 1
    assert capsys.readouterr().out == (
        "docs/commands.md: out of date: run `make docs`\ndocs/settings.md: out of date: run `make docs`\n"
    )
    assert (tmp_path / "docs" / "settings.md").read_text() == "by hand"
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0


@pytest.mark.parametrize(
    "section", re.findall(r"### (\w+\n\nView\..*?)\n(?=#|\Z)", DICTIONARY, re.DOTALL), ids=first_word
)
def test_every_column_of_a_view_is_explained(section: str) -> None:
    """Each column of a view is explained by its own words or by the comment of the view, also as `*_percent`."""
    comment, _, columns = section.partition("| column")
    names = [name.replace("*", r"\w*") for name in re.findall(r"\w[\w*]*|\*_\w+", comment)]
    unexplained = re.findall(rf"^\| `(\w+)` .*\| {SEE} \|$", columns, re.MULTILINE)
    assert [column for column in unexplained if not any(re.fullmatch(name, column) for name in names)] == []


# Names on pages.


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_command_and_its_options_are_documented(name: str) -> None:
    """A hand-written page shows each command, and the page of commands has each of its options."""
    shown = [code for page in GUIDES for code in code_in(page.read_text())]
    assert any(re.search(rf"\bmarquee ({name})(?![\w-])", code) for code in shown)
    options = set(re.findall(r"--[a-z][a-z-]*", COMMANDS[name].format_help())) - {"--help"}
    page = part_of((ROOT / "docs" / "commands.md").read_text(), f"marquee {name}")
    assert {option for option in options if f"`{option}" not in page} == set()


@every_page
def test_commands_that_a_page_shows_exist(page: Path) -> None:
    """Each `marquee` command, option and make target that a page shows exists."""
    lines = [line.partition("#")[0] for line in code_in(page.read_text())]
    for text in (found for line in lines for found in re.findall(r"(?<![\w/])marquee ([a-z-][^&]*)", line)):
        longest_first = sorted(COMMANDS, key=len, reverse=True)
        name = next((one for one in longest_first if re.match(rf"{one}(?![\w-])", text)), None)
        assert name or text.startswith("--"), text
        parser = COMMANDS[name] if name else cli.make_parser()
        options = re.findall(r"--[a-z-]+", text)
        assert [option for option in options if option not in parser.format_help()] == [], text
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {match[1] for line in lines if (match := re.match(r"make ([a-z0-9-]+)", line))} <= targets


def test_first_commands_for_users_and_contributors_are_targets_with_help() -> None:
    """The README begins with `make demo` and `marquee demo`, and contributors find `make test`; both have help."""
    assert blocks(part_of(README, "Two commands"), "sh")[0].startswith("make demo ")
    assert "marquee demo " in blocks(part_of(README, "Two commands"), "sh")[0]
    assert "test" in re.findall(r"^make (\w+)", blocks(part_of(CONTRIBUTING, "Set up"), "sh")[0], re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    assert [target for target in ("demo", "test") if not re.search(rf"^{target}:.*  ## ", makefile, re.MULTILINE)] == []


def test_tests_in_a_cluster_run_what_operations_shows() -> None:
    """Each section of operations with commands has a test in a cluster that runs the commands of the page."""
    sections = re.split(r"^## ", (ROOT / "docs" / "operations.md").read_text(), flags=re.MULTILINE)[1:]
    shown = {section.partition("\n")[0] for section in sections if blocks(section, "sh")}
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "e2e_cluster").glob("*.py"))
    assert shown
    assert set(re.findall(r'documented\("([^"]+)"\)', tests)) == shown


def test_tests_in_a_cluster_walk_through_every_runbook() -> None:
    """Each alert is raised in a cluster by its name, and the commands of its runbook are run."""
    alerts = {path.stem for path in (ROOT / "charts" / "marquee" / "rules").glob("Marquee*.yaml")}
    walked = (ROOT / "tests" / "e2e_cluster" / "test_watching_alerts.py").read_text()
    assert alerts
    assert set(re.findall(r'"(Marquee\w+)"', walked)) == alerts


@every_page
def test_settings_that_a_page_names_exist(page: Path) -> None:
    """Each setting that a page names exists, as a variable or as a place in the settings file."""
    text = page.read_text()
    variables = set(re.findall(r"MARQUEE_[A-Z][A-Z0-9_]*", text))
    sections = "|".join({name.removeprefix("MARQUEE_").split("__")[0].lower() for name in SETTING_NAMES})
    places = set(re.findall(rf"`((?:{sections})\.(?!py`|sql`)[a-z0-9_.]+)`", text))
    if "## Values" in text:  # a chart's, which has values beside its settings
        places -= set(first_cells(part_of(text, "Values")))
    variables |= {"MARQUEE_" + place.upper().replace(".", "__") for place in places}
    assert variables - SETTING_NAMES - {CONFIG} == set()


def test_every_setting_is_documented() -> None:
    """Each setting has its row on the page of settings, except sections."""
    sections = {name for name in SETTING_NAMES if any(other.startswith(f"{name}__") for other in SETTING_NAMES)}
    rows = first_cells((ROOT / "docs" / "settings.md").read_text())
    assert sorted(rows) == sorted(SETTING_NAMES - sections)


def test_exit_codes_are_those_of_the_code() -> None:
    """Each exit code has its row in the architecture, and no page names another code."""
    codes = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    codes |= {kind.exit_code for kind in errors.MarqueeError.__subclasses__()}
    rows = [int(cell) for cell in first_cells(part_of(ARCHITECTURE, "Exit codes"))]
    assert rows == sorted(codes)
    assert {int(code) for code in re.findall(r"\b(\d+) ", EXIT_CODES)} <= set(rows)
    named = {code for page in PAGES for code in re.findall(r"(?:exit |with )code (\d+)", page.read_text())}
    assert {int(code) for code in named} <= codes


def test_questions_are_those_of_the_code() -> None:
    """The definitions list the questions in order, pages ask only existing ones, and the README counts them."""
    assert first_cells(part_of(DEFINITIONS, "Questions")) == [question.name for question in QUESTIONS]
    asked = {match[1] for page in PAGES for match in re.finditer(r"marquee ask ([a-z-]+)", page.read_text())}
    assert {"must-not-cancel"} <= asked <= {name for one in QUESTIONS for name in (one.name, *one.also)}
    assert f"each of {len(QUESTIONS)} questions" in " ".join(README.split())


@every_page
def test_links_of_a_page_resolve(page: Path) -> None:
    """Relative links lead to an existing file, and to an existing heading where they name one."""
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text()):
        path = page.parent / target if target else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


@every_page
def test_files_that_a_page_names_exist(page: Path) -> None:
    """Each path of the project that a page shows as code exists."""
    named = [
        code
        for code in code_in(page.read_text())
        if re.fullmatch(r"(jobs|tests|tools|docs|charts|requirements)/[\w/.-]+", code)
    ]
    assert [name for name in named if not (ROOT / name).exists()] == []


@every_page
@pytest.mark.parametrize(
    "banned",
    [
        # Written so that the pattern does not match this file.
        pytest.param(r"(?<![\w.}~-])/(?:work|root|home/\w+|Users/\w+|tmp)/", id="path of one machine"),
        pytest.param(r"py[p]i\.org|python[h]osted|npm[j]s\.org", id="package registry"),
        pytest.param(r"(?i)\b(?:blazing|seamless|cutting-edge|world-class|game-chang|effortless)", id="marketing"),
        pytest.param("[\U0001f300-\U0001faff]", id="emoji"),
    ],
)
def test_page_is_free_of(page: Path, banned: str) -> None:
    """No page has paths of one machine, package registries, marketing words or emoji."""
    assert re.findall(banned, page.read_text()) == []


# Facts about the code.


def test_contract_names_every_reason_in_order() -> None:
    """The contract lists the reasons for rejection in the order in which one is chosen."""
    assert first_cells(part_of(CONTRACT, "Rejected lines")) == [reason.value for reason in contract.Reason]


def test_contract_names_every_field_and_its_place() -> None:
    """The contract lists the fields of an event with their default places and their bounds."""
    rows = re.findall(r"^\| `(\w+)` \| `([\w.]+)` \| (.+) \|$", part_of(CONTRACT, "An event"), re.MULTILINE)
    assert {name: place for name, place, _ in rows} == vars(contract.Fields())
    forms = {name: form for name, _, form in rows}
    assert f"1 to {contract.MAX_EVENT_ID_LENGTH} characters" in forms["event_id"]
    assert f"1 to {contract.MAX_USER_ID_LENGTH} characters" in forms["user_id"]
    assert f"0 to {contract.MAX_WATCHED_SECONDS}:" in forms["watched_seconds"]
    assert "{} to {}:".format(*contract.UTC_OFFSET_MINUTES) in forms["utc_offset_minutes"]
    assert (contract.MAX_EPISODE_ID, contract.MAX_LINE_BYTES) == (2**53, 2**20)
    assert "1 to 2^53" in forms["episode_id"]


def test_example_of_the_contract_is_an_event() -> None:
    """The example event of the contract is valid in its hour."""
    example = json.dumps(json.loads(blocks(CONTRACT, "json")[0])).encode()
    hour = Period.parse("2026-01-05T13")
    window = contract.Window(hour.start.replace(tzinfo=None), hour.end.replace(tzinfo=None))
    event = contract.validate(example, contract.Fields(), window)
    assert isinstance(event, contract.Event)
    assert (event.user_id, event.watched_seconds) == ("u2218169", 60)


def test_architecture_shows_a_marker_and_the_keys() -> None:
    """The example marker of the architecture is valid, and the layout of the lake is that of the module keys."""
    marker = Marker.from_json(blocks(ARCHITECTURE, "json")[0].encode(), "markers/rollup/2026-01-05T14/_SUCCESS", "etag")
    assert marker.counts["rows_in"] == marker.counts["rows_out"] + marker.counts["duplicates"] + sum(
        marker.counts["rejects"].values()
    )
    assert re.findall(r"^    \w+/.+$", keys.__doc__ or "", re.MULTILINE) == re.findall(
        r"^    \w+/.+$", part_of(ARCHITECTURE, "The lake"), re.MULTILINE
    )


def test_architecture_has_every_stage_in_order() -> None:
    """The architecture has a row for each stage, in order."""
    assert first_cells(part_of(ARCHITECTURE, "Stages")) == list(keys.STAGES)


def test_picture_shows_every_stage_and_dataset() -> None:
    """The SVG of the data flow is valid XML and names every stage and dataset."""
    texts = " ".join(ET.parse(ROOT / "docs" / "data-flow.svg").getroot().itertext())  # noqa: S314 - our own file
    names = {*keys.STAGES, *(dataset.name for dataset in DATASETS)}
    assert names - set(re.findall(r"\w+", texts)) == set()


def test_definitions_tell_every_threshold_with_its_default() -> None:
    """The definitions show each setting of profile as `name` (default)."""
    told = dict(re.findall(r"`(\w+)` \(([\d.]+)\)", DEFINITIONS))
    assert told == {name: str(field.default) for name, field in ProfileOptions.model_fields.items()}


def test_readme_is_short() -> None:
    """The README has at most 900 words, including code and links."""
    assert len(README.split()) <= 900


def test_every_scenario_names_tests_that_exist() -> None:
    """Each row of the page on reliability links to at least one test function in the file that has it."""
    rows = [
        row
        for row in (ROOT / "docs" / "reliability.md").read_text().splitlines()
        if row.startswith("| ") and "---" not in row
    ]
    scenarios = [row for row in rows if not row.startswith("| scenario ")]
    assert len(scenarios) > 40
    for row in scenarios:
        links = re.findall(r"\[`(test_\w+)`\]\(\.\./(tests/[\w/]+\.py)\)", row)
        assert links, row
        for name, file in links:
            assert f"\ndef {name}(" in (ROOT / file).read_text(), f"{name} is not in {file}"


def test_every_page_can_be_found() -> None:
    """The list of pages links to every page of docs, and the README links to the list and to each task."""
    listed = (ROOT / "docs" / "README.md").read_text()
    pages = {page.name for page in PAGES if page.parent == ROOT / "docs"} - {"README.md"}
    assert {page for page in pages if f"]({page})" not in listed} == set()
    tasks = set(re.findall(r"\]\(([\w-]+\.md)\)", listed.partition("To look things up")[0])) - {"operations.md"}
    assert {page for page in tasks | {"README.md", "limits.md"} if f"](docs/{page})" not in README} == set()


def test_credit_stays() -> None:
    """The README credits TVmaze for its data under CC BY-SA 4.0, with both links."""
    credit = part_of(README, "Licence and credit")
    assert "(https://www.tvmaze.com)" in credit
    assert "[CC BY-SA 4.0](https://creativecommons.org/licenses/by-sa/4.0/)" in credit


def test_settings_for_production_are_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example settings file for production is valid for every stage, with the viewer key in its variable."""
    (text,) = blocks(YOUR_OWN_EVENTS, "toml")
    file = tmp_path / "marquee.toml"
    file.write_text(text)
    monkeypatch.setenv(CONFIG, str(file))
    monkeypatch.setenv("MARQUEE_ROLLUP__VIEWER_KEY", "0123456789abcdef")
    check_names()
    assert {load_settings(kind).lake for kind in (job.settings for job in PIPELINE)} == {tomllib.loads(text)["lake"]}


def test_first_page_shows_what_the_demo_prints() -> None:
    """The excerpt on the first page has the questions and the planted answers of the code."""
    (excerpt,) = (block for block in blocks(GET_STARTED, "text") if "planted: " in block)
    shown = re.findall(r"^(\S[^\n]*\?)\s+\S.*?^planted: ([^\n]+)$", excerpt, re.MULTILINE | re.DOTALL)
    words = {question.name: question.words for question in QUESTIONS}
    assert len(shown) == 2
    assert set(shown) <= {(words[answer.question], answer.claim) for answer in ANSWERS}


def test_changelog_has_this_version() -> None:
    """The changelog has a section for this version."""
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()

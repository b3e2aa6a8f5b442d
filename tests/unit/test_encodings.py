"""Texts are read and written in a stated encoding, so that the locale of a machine does not matter."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ("marquee", "jobs", "bench", "tools")
TEXT = {"read_text": 0, "write_text": 1}
"""Methods that read or write a text, by the place of the argument ``encoding``."""
OPENING = {"open", "TemporaryFile", "NamedTemporaryFile"}
"""Methods of a path, and functions of ``tempfile``, that open a file in the mode of their first argument. A call of
``open`` without a mode is not checked, because it may be that of a store; texts are read with ``read_text``.
"""


def lacks_encoding(call: ast.Call) -> bool:
    """Return whether a call reads or writes a text in the default encoding of the machine."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in given:
        return False
    if name in TEXT:
        return len(call.args) <= TEXT[name]
    if name not in OPENING:
        return False
    mode = given.get("mode") or next(iter(call.args), None)
    return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and {*mode.value} <= {*"rwaxt+"}


def calls(source: str) -> Iterator[ast.Call]:
    """Yield the calls in a source."""
    yield from (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))


def test_every_text_has_an_encoding() -> None:
    """Every call that reads or writes a text states its encoding."""
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for folder in CODE
        for path in sorted((ROOT / folder).rglob("*.py"))
        for call in calls(path.read_text(encoding="utf-8"))
        if lacks_encoding(call)
    ]
    assert found == []


def test_what_lacks_an_encoding() -> None:
    """The check finds texts without an encoding, but not bytes and texts with one."""
    source = """
p.read_text()
p.write_text("x")
p.open("w")
p.open(mode="a")
tempfile.NamedTemporaryFile("w")
p.read_text(encoding="utf-8")
p.read_text("utf-8")
p.write_text("x", "utf-8")
p.open("rb")
p.open("w", encoding="ascii")
tempfile.TemporaryFile()
settings.open(settings.raw)
address.open()
"""
    assert [lacks_encoding(call) for call in calls(source)] == [True] * 5 + [False] * 8

"""Text from outside is harmless in a terminal, a log, a page, JSON and CSV."""

import json

import pytest

from marquee.neutral import neutral, neutral_cell, neutral_json, neutral_lines


@pytest.mark.parametrize(
    "unsafe",
    [
        *("\0", "\a", "\b", "\t", "\n", "\v", "\f", "\r", "\x1b", "\x7f", "\x80", "\x85", "\x9b", "\x9f"),
        *("\u200e", "\u200f", "\u061c", "\u202a", "\u202e", "\u2066", "\u2069", "\u2028", "\u2029"),
        "\udc80",  # a byte of a file name that is not UTF-8
    ],
    ids=ascii,
)
def test_an_unsafe_character_is_replaced(unsafe: str) -> None:
    """Controls, marks of direction, separators of lines and halves of characters do not reach a terminal."""
    assert neutral(f"a{unsafe}b") == "a\ufffdb"
    exact = neutral_json(json.dumps({"a": unsafe}, ensure_ascii=False))
    assert json.loads(exact) == {"a": unsafe}
    assert exact.isprintable()


@pytest.mark.parametrize("text", ["夜汽車", "Pokémon", "👩\u200d👧", "שלום", "مرحبا", "a\u00a0b", "a-b"])
def test_other_text_stays(text: str) -> None:
    """Letters of any script, emoji with joiners and no-break spaces are not changed."""
    assert (neutral(text), neutral_cell(text), neutral_json(text)) == (text, text, text)


def test_our_own_lines_stay() -> None:
    """Text of several lines keeps its line breaks, and nothing else."""
    assert neutral_lines("one\n\x1b[2Jtwo\r\n") == "one\n\ufffd[2Jtwo\ufffd\n"


@pytest.mark.parametrize(
    "sign",
    [*"=+-@", *("\uff1d", "\uff0b", "\uff0d", "\uff20"), *("\ufe66", "\ufe62", "\ufe63", "\ufe6b")],
    ids=ascii,
)
@pytest.mark.parametrize(
    "before",
    [*("", " ", "  ", "\u00a0", "\u3000", "\ufeff", "\u200b", "\t", "\r", "\n "), "\u00ad", "\u2063", "\ufe0f "],
    ids=ascii,
)
def test_a_formula_is_text_in_csv(sign: str, before: str) -> None:
    """A text that begins as a formula, in full width or after blanks too, gets an apostrophe first."""
    assert neutral_cell(f"{before}{sign}1+1") == f"'{before}{sign}1+1"
    assert neutral_cell(f"a{sign}b") == f"a{sign}b"


@pytest.mark.parametrize("hidden", ["\x1b", "\x9b", "\u202e", "\u200f", "\u2028"], ids=ascii)
def test_a_hidden_formula_is_text_in_csv(hidden: str) -> None:
    """Unsafe characters in CSV are replaced, and a formula after them gets an apostrophe."""
    assert neutral_cell(f"a{hidden}b\tc\n") == "a\ufffdb\tc\n"
    assert neutral_cell(f"{hidden}=1") == "'\ufffd=1"

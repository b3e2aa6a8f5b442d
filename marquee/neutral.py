"""Makes text from outside harmless in output: in a log, a terminal, an HTML page, JSON and CSV.

Names of objects, reasons of servers and titles of shows are other people's words. In them, a control character could
move the cursor of a terminal, a line break could forge a line of a log, and a mark of the writing direction could show
a text as another one. In a spreadsheet, a text that looks like a formula runs.
"""

import re

_BREAKS = "\t\n\r"
_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # controls, of which ESC and CSI begin the terminal's commands
    "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069"  # marks of the writing direction
    "\u2028\u2029"  # separators of lines and paragraphs
    "\ud800-\udfff"  # halves of characters, from file names that are not UTF-8: UTF-8 cannot write them
    "]"
)
_UNSAFE_BUT_BREAKS = re.compile(f"(?![{_BREAKS}]){_UNSAFE.pattern}")
_INVISIBLE = "\ufeff\u200b-\u200d\u2060-\u2064\u00ad\u034f\u115f\u1160\u180e\u3164\ufe00-\ufe0f\U000e0000-\U000e0fff"
_FORMULA = re.compile(f"[\\s{_INVISIBLE}\ufffd]*[=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]|[\t\r\n]")
"""The beginning of a text that a spreadsheet runs, also in wide and small forms and after characters that it skips."""
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def neutral(text: str) -> str:
    """Return a text for one line of a terminal, a log or a page: each unsafe character is replaced with U+FFFD."""
    return _UNSAFE.sub(REPLACEMENT, text)


def neutral_lines(text: str) -> str:
    """Return a text of our own that may have several lines; all other unsafe characters are replaced."""
    return "\n".join(map(neutral, text.split("\n")))


def neutral_cell(text: str) -> str:
    """Return a text for a cell of CSV: a formula gets an apostrophe first (OWASP), and line breaks and tabs stay."""
    safe = _UNSAFE_BUT_BREAKS.sub(REPLACEMENT, text)
    return f"'{safe}" if _FORMULA.match(safe) else safe


def neutral_json(text: str) -> str:
    """Return JSON with the same values, in which unsafe characters are escaped; ``json.dumps`` escapes some only."""
    return _UNSAFE_BUT_BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)

"""The order of Debian's versions, as deb-version(7) defines it: by epoch, upstream version and revision."""

import re
from itertools import zip_longest

Key = tuple[int, tuple[tuple[tuple[int, ...], int], ...], tuple[tuple[tuple[int, ...], int], ...]]


def key(version: str) -> Key:
    """Return what sorts versions as dpkg does."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
    return int(epoch), _parts(upstream), _parts(revision)


def _parts(text: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    """Return the parts of a version: what is no digit, in dpkg's order, and the number after it."""
    texts, numbers = re.split(r"\d+", text), re.findall(r"\d+", text)
    return tuple(
        ((*map(_order, letters), 0), int(number)) for letters, number in zip_longest(texts, numbers, fillvalue="0")
    )


def _order(letter: str) -> int:
    """Return the place of a character: a tilde comes before the end, letters before everything else."""
    if letter == "~":
        return -1
    return ord(letter) if letter.isalpha() else ord(letter) + 256

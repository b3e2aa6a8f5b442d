"""Language tags: well-formed by RFC 5646 (BCP 47), and spelled as its section 2.1.1 recommends.

Case has no meaning in a tag, so ``KO``, ``Ko`` and ``ko`` are one language. Whether a tag is registered is not checked.
"""

import re
from functools import lru_cache

MAX_LENGTH = 128

_IRREGULAR = (
    "en-GB-oed", "i-ami", "i-bnn", "i-default", "i-enochian", "i-hak", "i-klingon", "i-lux", "i-mingo", "i-navajo",
    "i-pwn", "i-tao", "i-tay", "i-tsu", "sgn-BE-FR", "sgn-BE-NL", "sgn-CH-DE",
)  # fmt: skip
"""Grandfathered tags outside the grammar. It covers the regular ones, such as ``zh-min-nan``."""

_TAG = re.compile(
    rf"""
    (?:
        (?: [a-z]{{2,3}} (?:-[a-z]{{3}}){{0,3}} | [a-z]{{4}} | [a-z]{{5,8}} )  # language, with extended languages
        (?: -[a-z]{{4}} )?                                                     # script
        (?: -(?: [a-z]{{2}} | [0-9]{{3}} ) )?                                  # region
        (?: -(?: [a-z0-9]{{5,8}} | [0-9][a-z0-9]{{3}} ) )*                     # variants
        (?: -[a-wyz0-9] (?:-[a-z0-9]{{2,8}})+ )*                               # extensions
        (?: -x (?:-[a-z0-9]{{1,8}})+ )?                                        # private use
    |   x (?:-[a-z0-9]{{1,8}})+
    |   {"|".join(one.lower() for one in _IRREGULAR)}
    )
    """,
    re.VERBOSE | re.ASCII,
)


def normalise(text: str) -> str | None:
    """Return a language tag in its recommended spelling, such as ``zh-Hant-TW``.

    None if it is not well-formed, or longer than MAX_LENGTH characters.
    """
    return _normalise(text) if len(text) <= MAX_LENGTH else None


@lru_cache(maxsize=4096)
def _normalise(text: str) -> str | None:
    if not text.isascii() or not _TAG.fullmatch(text.lower()):
        return None
    first, *others = text.lower().split("-")
    spelled, after_singleton = [first], len(first) == 1
    for part in others:
        after_singleton = after_singleton or len(part) == 1
        spelled.append(part if after_singleton else _in_case(part))
    return "-".join(spelled)


def _in_case(part: str) -> str:
    return {2: part.upper(), 4: part.capitalize()}.get(len(part), part)

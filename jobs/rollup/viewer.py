"""Viewers: pseudonyms of users, which are the same in every hour under one list of keys, and their buckets.

Under one key, a viewer is the first 64 bits of HMAC-SHA256(key, user id), as an unsigned integer. A newer key in front
of it makes the viewer the first 64 bits of HMAC-SHA256(newer key, the viewer so far in 8 bytes, big-endian). So a lake
is brought to a newer key without user ids. Without the keys nobody can find the user, or test whether a user id exists.
Among 100 million viewers two share a number with a probability of 0.03 % for each key. The bucket is the number modulo
the number of buckets.
"""

import hashlib
import hmac
import json
from typing import TypeAlias

VIEWER_BYTES = 8

Keys: TypeAlias = tuple[bytes, ...]
"""Keys of pseudonyms, newest first."""


def parse_keys(text: str) -> Keys:
    """Return the keys in a setting: a JSON list of texts, or one text that is the key. ValueError if it is neither."""
    given = text.strip()
    if not (given.startswith("[") and given.endswith("]")):
        return (text.encode(),)
    try:
        found = json.loads(given)
    except ValueError:
        found = None
    if not isinstance(found, list) or not found or not all(isinstance(one, str) for one in found):
        message = 'expected a key, or a list of keys in JSON, newest first, such as ["new key", "old key"]'
        raise ValueError(message)
    return tuple(one.encode() for one in found)


def viewer_of(keys: Keys, user_id: str) -> int:
    """Return the viewer of a user."""
    return viewer_of_bytes(keys, user_id.encode())


def viewer_of_bytes(keys: Keys, user_id: bytes) -> int:
    """Return the viewer of a user whose id is given in UTF-8."""
    found = user_id
    for key in reversed(keys):
        found = hmac.digest(key, found, "sha256")[:VIEWER_BYTES]
    return int.from_bytes(found)


def fingerprint(keys: Keys) -> str:
    """Return the fingerprint of keys, which may be published: it identifies them without revealing them."""
    found = b"marquee key fingerprint"
    for key in reversed(keys):
        found = hmac.digest(key, found, "sha256")
    return hashlib.sha256(found).hexdigest()[:16]


def newer_keys(keys: Keys, of_keys: str) -> Keys | None:
    """Return the keys in front of those with a fingerprint; None if the list does not end with any of these.

    Viewers under the latter become viewers under the whole list by the former.
    """
    return next((keys[:number] for number in range(len(keys)) if fingerprint(keys[number:]) == of_keys), None)

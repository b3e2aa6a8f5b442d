"""Viewers: pseudonyms of users, which are the same in every hour under one key, and their buckets.

A viewer is the first 64 bits of HMAC-SHA256(key, user id), as an unsigned integer. Without the key nobody can find the
user, or test whether a user id exists. Among 100 million viewers two share a number with a probability of 0.03 %. The
bucket is the number modulo the number of buckets.
"""

import hashlib
import hmac

VIEWER_BYTES = 8


def viewer_of(key: bytes, user_id: str) -> int:
    """Return the viewer of a user."""
    return viewer_of_bytes(key, user_id.encode())


def viewer_of_bytes(key: bytes, user_id: bytes) -> int:
    """Return the viewer of a user whose id is given in UTF-8."""
    return int.from_bytes(hmac.digest(key, user_id, "sha256")[:VIEWER_BYTES])


def fingerprint(key: bytes) -> str:
    """Return the fingerprint of a key, which may be published: it identifies the key without revealing it."""
    return hashlib.sha256(hmac.digest(key, b"marquee key fingerprint", "sha256")).hexdigest()[:16]

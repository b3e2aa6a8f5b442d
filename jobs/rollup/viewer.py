"""Viewers: pseudonyms of users, the same in every hour under one key, and their buckets.

A viewer is the first 64 bits of HMAC-SHA256(key, user id) as an unsigned whole number: without the key nobody finds the
user, or tells which user ids exist. Among 100 million viewers two share a number with a probability of 0.03 %. The
bucket is the number modulo the count of buckets.
"""

import hashlib
import hmac

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

VIEWER_BYTES = 8
BLOCK_BYTES = 64  # of SHA-256, and the pads, as RFC 2104 has them
INNER_PAD, OUTER_PAD = 0x36, 0x5C

VIEWERS = """
-- HMAC-SHA256 spelled out: DuckDB hashes many users without holding up Python's other threads.
select n, ('0x' || left(sha256($outer || unhex(sha256($inner || encode(user_id[2:-2])))), 16))::ubigint as viewer
from users
"""


def viewer_of(key: bytes, user_id: str) -> int:
    """Return the viewer of a user."""
    return int.from_bytes(hmac.digest(key, user_id.encode(), "sha256")[:VIEWER_BYTES])


def viewers_of(db: duckdb.DuckDBPyConnection, key: bytes, user_ids: pa.Array) -> npt.NDArray[np.uint64]:
    """Return the viewers of users, in their order; ``user_ids`` are JSON texts, still in their quotes."""
    block = hashlib.sha256(key).digest() if len(key) > BLOCK_BYTES else key
    block = block.ljust(BLOCK_BYTES, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in block) for pad in (INNER_PAD, OUTER_PAD))
    db.register("users", pa.table({"n": pa.array(np.arange(len(user_ids))), "user_id": user_ids}))
    rows = db.execute(VIEWERS, {"inner": inner, "outer": outer}).fetchnumpy()
    viewers: npt.NDArray[np.uint64] = np.empty(len(user_ids), np.uint64)
    viewers[rows["n"]] = rows["viewer"]
    return viewers


def fingerprint(key: bytes) -> str:
    """Return what may be told of a key: the same for the same key, and no way back."""
    return hashlib.sha256(hmac.digest(key, b"marquee key fingerprint", "sha256")).hexdigest()[:16]

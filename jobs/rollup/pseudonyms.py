"""Computes the viewers of many users at once, as ``viewer.py`` defines them.

``viewers.sql`` implements HMAC-SHA256 in SQL, so that DuckDB hashes many users without blocking Python's other threads.
"""

import hashlib

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from marquee.sql import read_query

BLOCK_BYTES = 64  # block size of SHA-256; the pads are those of RFC 2104
INNER_PAD, OUTER_PAD = 0x36, 0x5C


def viewers_of(db: duckdb.DuckDBPyConnection, key: bytes, user_ids: pa.Array) -> npt.NDArray[np.uint64]:
    """Return the viewers of users, in the same order; ``user_ids`` are JSON texts with their quotes."""
    block = hashlib.sha256(key).digest() if len(key) > BLOCK_BYTES else key
    block = block.ljust(BLOCK_BYTES, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in block) for pad in (INNER_PAD, OUTER_PAD))
    db.register("users", pa.table({"n": pa.array(np.arange(len(user_ids))), "user_id": user_ids}))
    viewers_query = read_query("jobs.rollup", "viewers")
    rows = db.execute(viewers_query.text, viewers_query.bind({"inner_block": inner, "outer_block": outer})).fetchnumpy()
    viewers: npt.NDArray[np.uint64] = np.empty(len(user_ids), np.uint64)
    viewers[rows["n"]] = rows["viewer"]
    return viewers

"""The viewers of many users at once, as ``viewer.py`` defines them.

``viewers.sql`` spells HMAC-SHA256 out: DuckDB hashes many users without holding up Python's other threads.
"""

import hashlib

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from marquee.sql import read_query

BLOCK_BYTES = 64  # of SHA-256, and the pads, as RFC 2104 has them
INNER_PAD, OUTER_PAD = 0x36, 0x5C


def viewers_of(db: duckdb.DuckDBPyConnection, key: bytes, user_ids: pa.Array) -> npt.NDArray[np.uint64]:
    """Return the viewers of users, in their order; ``user_ids`` are JSON texts, still in their quotes."""
    block = hashlib.sha256(key).digest() if len(key) > BLOCK_BYTES else key
    block = block.ljust(BLOCK_BYTES, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in block) for pad in (INNER_PAD, OUTER_PAD))
    db.register("users", pa.table({"n": pa.array(np.arange(len(user_ids))), "user_id": user_ids}))
    viewers_query = read_query("jobs.rollup", "viewers")
    rows = db.execute(viewers_query.text, viewers_query.bind({"inner_block": inner, "outer_block": outer})).fetchnumpy()
    viewers: npt.NDArray[np.uint64] = np.empty(len(user_ids), np.uint64)
    viewers[rows["n"]] = rows["viewer"]
    return viewers

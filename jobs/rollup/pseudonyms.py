"""Computes the viewers of many users at once, as ``viewer.py`` defines them.

``viewers.sql`` implements HMAC-SHA256 in SQL, so that DuckDB hashes many users without blocking Python's other threads.
"""

import hashlib
from collections.abc import Sequence

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from marquee.sql import read_query

BLOCK_BYTES = 64  # block size of SHA-256; the pads are those of RFC 2104
INNER_PAD, OUTER_PAD = 0x36, 0x5C


def pads(key: bytes) -> tuple[bytes, bytes]:
    """Return the blocks with which HMAC's inner and outer hash begin under a key."""
    block = hashlib.sha256(key).digest() if len(key) > BLOCK_BYTES else key
    block = block.ljust(BLOCK_BYTES, b"\0")
    return bytes(byte ^ INNER_PAD for byte in block), bytes(byte ^ OUTER_PAD for byte in block)


class Viewers:
    """Viewers of users under one key."""

    def __init__(self, key: bytes) -> None:
        self._inner, self._outer = pads(key)

    def of(self, db: duckdb.DuckDBPyConnection, users: Sequence[str]) -> npt.NDArray[np.uint64]:
        """Return the viewers of users, in the same order."""
        db.register("users", pa.table({"n": pa.array(np.arange(len(users))), "user_id": pa.array(users, pa.string())}))
        query = read_query("jobs.rollup", "viewers")
        blocks = {"inner_block": self._inner, "outer_block": self._outer}
        rows = db.execute(query.text, query.bind(blocks)).fetchnumpy()
        viewers: npt.NDArray[np.uint64] = np.empty(len(users), np.uint64)
        viewers[rows["n"]] = rows["viewer"]
        return viewers

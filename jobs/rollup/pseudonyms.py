"""Computes the viewers of many users at once, as ``viewer.py`` defines them.

``viewers.sql`` implements HMAC-SHA256 in SQL, so that DuckDB hashes many users without blocking Python's other threads.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.rollup.viewer import VIEWER_BYTES, Keys
from marquee.sql import read_query

if TYPE_CHECKING:
    import duckdb

Numbers: TypeAlias = npt.NDArray[np.uint64]

BLOCK_BYTES = 64  # block size of SHA-256; the pads are those of RFC 2104
INNER_PAD, OUTER_PAD = 0x36, 0x5C


def pads(key: bytes) -> tuple[bytes, bytes]:
    """Return the blocks with which HMAC's inner and outer hash begin under a key."""
    block = hashlib.sha256(key).digest() if len(key) > BLOCK_BYTES else key
    block = block.ljust(BLOCK_BYTES, b"\0")
    return bytes(byte ^ INNER_PAD for byte in block), bytes(byte ^ OUTER_PAD for byte in block)


class Viewers:
    """Viewers of users under a list of keys, newest first."""

    def __init__(self, keys: Keys) -> None:
        if not keys:
            message = "expected a viewer key"
            raise ValueError(message)
        self._pads = [pads(key) for key in reversed(keys)]

    def of(self, db: "duckdb.DuckDBPyConnection", users: Sequence[str]) -> Numbers:
        """Return the viewers of users, in the same order."""
        return self._hashed(db, pa.array(users, pa.string()).cast(pa.binary()))

    def after(self, db: "duckdb.DuckDBPyConnection", viewers: Numbers) -> Numbers:
        """Return what viewers under older keys are under these keys in front of them, in the same order."""
        return self._hashed(db, _bytes_of(viewers))

    def _hashed(self, db: "duckdb.DuckDBPyConnection", texts: pa.Array) -> Numbers:
        query = read_query("jobs.rollup", "viewers")
        viewers: Numbers = np.empty(len(texts), np.uint64)
        for inner, outer in self._pads:
            db.register("users", pa.table({"n": pa.array(np.arange(len(texts))), "user_id": texts}))
            rows = db.execute(query.text, query.bind({"inner_block": inner, "outer_block": outer})).fetchnumpy()
            viewers[rows["n"]] = rows["viewer"]
            texts = _bytes_of(viewers)
        return viewers


def _bytes_of(viewers: Numbers) -> pa.Array:
    return pa.Array.from_buffers(
        pa.binary(VIEWER_BYTES), len(viewers), [None, pa.py_buffer(viewers.astype(">u8").tobytes())]
    )

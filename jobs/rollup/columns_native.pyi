# Types of the compiled module columns_native.pyx, which has the documentation.

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

SOURCE: Final[int]

class Decoder:
    def __init__(self, program: Sequence[int], is_text: Sequence[bool], rows: int) -> None: ...
    def add(self, block: bytes, at: int, count: int) -> tuple[int, int]: ...
    def take(self) -> tuple[list[bytes | tuple[bytes, bytes]], bytes, bytes]: ...
    @property
    def is_full(self) -> bool: ...

def code_texts(
    ends: np.ndarray[Any, np.dtype[np.int64]],
    data: np.ndarray[Any, np.dtype[np.uint8]],
    codes: np.ndarray[Any, np.dtype[np.int32]],
) -> list[int] | None: ...
def longest_text(data: np.ndarray[Any, np.dtype[np.uint8]]) -> int: ...

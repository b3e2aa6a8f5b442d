# Types of the compiled module native.pyx, which has the documentation.
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

Buffer: TypeAlias = Any  # numpy's arrays declare no buffers before Python 3.12

SOURCE: Final[int]
PADDING: Final[int]
SHAPES: Final[int]
TEXTS: Final[int]

END: Final = 0
SKIP: Final = 1
EVENT_ID: Final = 2
RECEIVED_AT: Final = 3
USER_ID: Final = 4
EPISODE_ID: Final = 5
COUNTRY: Final = 6
UTC_OFFSET_MINUTES: Final = 7
LANGUAGE: Final = 8
DEVICE: Final = 9
WATCHED_SECONDS: Final = 10

DONE: Final = 0
ROWS_FULL: Final = 1
OTHERS_FULL: Final = 2
NEW_TEXT: Final = 3
NEW_SHAPE: Final = 4
LONG_LINE: Final = 5

def use_sha256(wanted: bool) -> bool: ...

class UserTable:
    def __init__(self, blocks: Sequence[tuple[bytes, bytes]], hash_key: bytes) -> None: ...
    @property
    def users(self) -> int: ...
    def viewers(
        self, offsets: Buffer, data: Buffer, first: int, count: int, viewers: Buffer, margin: int = 0
    ) -> None: ...

def hash_texts(
    key: bytes, offsets: Buffer, data: Buffer, first: int, count: int, hashes: Buffer, margin: int = 0
) -> None: ...

class LineReader:
    at: Final[int]
    stop: Final[int]
    text_at: Final[int]
    text_column: Final[int]
    rows: int
    others: int
    line: int
    learn_from: int
    def __init__(self, users: UserTable, hash_key: bytes, rules: tuple[int, ...]) -> None: ...
    @property
    def taken(self) -> list[int]: ...
    def forget_texts(self) -> None: ...
    def set_window(self, start: int, end: int) -> None: ...
    def set_shapes(self, shapes: list[list[tuple[bytes, int]]]) -> None: ...
    def add_text(self, column: int, text: bytes, code: int) -> bool: ...
    def read(self, buffer: Buffer, begin: int, end: int, columns: tuple[Buffer, ...], others: Buffer) -> int: ...

"""The engines' shuffle: tables and Arrow streams, held in memory or in files."""

from pathlib import Path

import pyarrow as pa
import pytest

from marquee.engine.shuffle import Shuffle, to_stream


@pytest.mark.parametrize(("budget", "files"), [(1 << 20, 0), (0, 4)])
def test_tables_and_streams_come_back_by_key(tmp_path: Path, budget: int, files: int) -> None:
    """Each key gives its tables in the order in which they came, also beyond the budget, where they go to files."""
    one, two, three = (pa.table({"n": [number] * 3}) for number in (1, 2, 3))
    shuffle = Shuffle(tmp_path, budget)
    shuffle.take([(7, one), (5, two), (7, to_stream(three)), (5, to_stream(one))])
    assert len(list(tmp_path.iterdir())) == files
    assert shuffle.keys() == [5, 7]
    assert list(shuffle.give(7)) == [one, three]
    assert list(shuffle.give(5)) == [two, one]

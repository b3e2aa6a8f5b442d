"""The state of a period: which blocks of days it has, and when they are merged."""

import pytest

from jobs.profile.state import STATE, Block, blocks_of, find_merged, to_count


def grown(days: int) -> list[int]:
    """Return the numbers of days of the blocks after single days have been added one by one."""
    sizes: list[int] = []
    for _ in range(days):
        blocks = [Block("run", 0, size) for size in sizes]
        merged = find_merged(blocks, 1)
        kept = len(sizes) - merged
        sizes = [*sizes[:kept], sum(sizes[kept:]) + 1]
    return sizes


@pytest.mark.parametrize(
    ("days", "sizes"),
    [
        (1, [1]),
        (3, [1, 1, 1]),
        (4, [4]),
        (15, [4, 4, 4, 1, 1, 1]),
        (16, [16]),
        (85, [16, 16, 16, 16, 16, 4, 1]),
        (91, [16, 16, 16, 16, 16, 4, 4, 1, 1, 1]),
    ],
)
def test_four_blocks_of_a_size_become_one(days: int, sizes: list[int]) -> None:
    """Four single days become a block, four of these another, and larger ones are not merged any more."""
    assert grown(days) == sizes


@pytest.mark.parametrize(
    ("sizes", "days", "merged"),
    [
        pytest.param([], 85, 0, id="a whole quarter at once"),
        pytest.param([85], 1, 0, id="a day after it"),
        pytest.param([1, 1, 1], 5, 0, id="five days after single ones"),
        pytest.param([4, 4, 4], 5, 3, id="five days after fours"),
        pytest.param([4, 4, 4, 1, 1, 1], 1, 6, id="a merge that makes another"),
        pytest.param([16, 16, 16], 20, 0, id="only large ones"),
    ],
)
def test_days_that_come_together_are_one_block(sizes: list[int], days: int, merged: int) -> None:
    """Days that come in one run are one block, which is merged with others of about its size."""
    assert find_merged([Block("run", 0, size) for size in sizes], days) == merged


def test_marker_lists_the_blocks() -> None:
    """The blocks of a marker are those that the run has written to it, in order."""
    blocks = [Block("first", 0, 16), Block("second", 16, 20), Block("third", 20, 21)]
    counts = {"days": 22, STATE: to_count(blocks)}
    assert counts[STATE] == [["first", 16], ["second", 4], ["third", 1]]
    assert blocks_of(counts, "third") == blocks


def test_marker_of_an_earlier_version_has_one_block() -> None:
    """Earlier versions wrote all days except the last as one."""
    assert blocks_of({"days": 22}, "run") == [Block("run", 0, 21)]
    assert blocks_of({"days": 1}, "run") == []


@pytest.mark.parametrize("found", ["a text", [["run"]], [["run", "16"]], [16], [["run", 16, 1]]])
def test_senseless_list_of_blocks_is_no_state(found: object) -> None:
    """A list that is none is passed over, so that the state is made again from the days."""
    assert blocks_of({"days": 22, STATE: found}, "run") == []

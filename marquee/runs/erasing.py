"""What stages with rows of viewers share to honour requests to erase viewers (marquee/lake/erasures.py)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TypeVar

from marquee.engine.base import Engine, Task
from marquee.lake import keys
from marquee.lake.erasures import Requests, counts_after
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers
from marquee.runs.stage import RunContext

U = TypeVar("U")


def search_runs(
    engine: Engine,
    search: Callable[[U, Task], list[bool]],
    unit_of: Callable[[tuple[str, ...], Sequence[Marker]], U],
    runs: Sequence[Marker],
    markers: Markers,
    most: int,
) -> list[bool]:
    """Return of each published run whether it holds a viewer of the requests that it has not honoured.

    Args:
        engine: what runs the search.
        search: kernel that returns of each run of a unit whether it holds one.
        unit_of: unit of work of some requests and some runs.
        runs: the runs.
        markers: the lake's markers, which know the requests of a run.
        most: maximum number of runs of a unit.
    """
    parts = list(_parts(runs, markers, most))
    found = chain(*engine.map(search, [unit_of(requests, some) for requests, some in parts]))
    searched = chain(*(some for _, some in parts))
    held = {one.run_id for one, holds in zip(searched, found, strict=True) if holds}
    return [one.run_id in held for one in runs]


def _parts(runs: Sequence[Marker], markers: Markers, most: int) -> Iterator[tuple[tuple[str, ...], Sequence[Marker]]]:
    asked: dict[tuple[str, ...], list[Marker]] = {}
    for run in runs:
        asked.setdefault(markers.unclean(run), []).append(run)
    for requests, group in asked.items():
        for start in range(0, len(group), most):
            yield requests, group[start : start + most]


def counts_of_run(run: RunContext, honoured: Requests, markers: Markers) -> Mapping[str, object]:
    """Return the counts of a run that concern erasures. What the previous run had not honoured, it may have held."""
    unclean = markers.unclean(run.previous) if run.previous else ()
    return counts_after(honoured, run.previous, unclean, keys.run_started(run.run_id), removed=bool(unclean))

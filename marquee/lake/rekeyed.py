"""Lakes that are brought to a newer viewer key: what of a run was moved, and whether that has ended.

    markers/rollup/_REKEY      there from the first period that `marquee rekey` writes to the end: nothing else is made

A run that moved a period's viewers to another key keeps what the period is made of. Its marker lists, by dataset, the
content before and after, so that a period downstream that was made of the former counts as made of the latter.

Bits of viewers in viewership are not moved, because nobody can tell which viewers a cell has: the marker names the key
that they are of, and bits of several keys are not counted together.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from marquee.calendar import Period
from marquee.errors import ConfigError
from marquee.lake import keys
from marquee.lake.datasets import Dataset
from marquee.lake.erasures import STAGES as OF_VIEWERS
from marquee.lake.manifest import Input, Marker, Output
from marquee.lake.markers import Markers

REKEYED = "rekeyed"
"""Count of a marker: by dataset, contents before and after, each as [digest before, digest after, size after]."""
BITS_OF = "viewer_bits_of"
"""Count of a marker of an hour: the fingerprint of the keys of its bits of viewers, where they are not its own."""
VIEWER_KEY = "viewer_key_fingerprint"
"""Parameter of an hour: the fingerprint of its viewer keys."""


class Moved(NamedTuple):
    """A content of a dataset before it was moved to another key, and after it."""

    before: str
    after: str
    size: int


def check_not_rekeying(markers: Markers) -> None:
    """Refuse to work on a lake that is half under another key."""
    if markers.has(keys.ROLLUP, keys.rekey_key()):
        message = (
            f"{markers.store.url} is being brought to a newer viewer key, or that was interrupted. Nothing was done, "
            "because each viewer would count twice. Wait for marquee rekey, or run it again"
        )
        raise ConfigError(message)


def moved_in(marker: Marker, dataset: str) -> Sequence[Moved]:
    """Return the contents from which a marker's run, and those before it, moved a dataset, in their order."""
    found = marker.counts.get(REKEYED)
    listed = found.get(dataset) if isinstance(found, dict) else None
    return [Moved(*one) for one in listed if len(one) == len(Moved._fields)] if isinstance(listed, list) else []


def note_moved(previous: Marker, outputs: Sequence[Output], datasets: Iterable[Dataset]) -> dict[str, list[Moved]]:
    """Return the count ``REKEYED`` of a run that moved the datasets of the previous one, and has these outputs."""
    after = dataclasses.replace(previous, outputs=tuple(outputs))
    noted: dict[str, list[Moved]] = {}
    for dataset in datasets:
        then, now = previous.as_input(dataset), after.as_input(dataset)
        if then != now:
            earlier = [Moved(one.before, now.etag, now.size) for one in moved_in(previous, dataset.name)]
            noted[dataset.name] = [*earlier, Moved(then.etag, now.etag, now.size)]
    return noted


def moved_inputs(markers: Markers, inputs: Iterable[Input]) -> Iterator[Input]:
    """Yield the inputs of a run with the contents that they have now, as far as they were moved and nothing else."""
    for one in inputs:
        stage, period, dataset = (*one.name.split("/"), "", "")[:3]
        known = dataset and stage in OF_VIEWERS
        upstream = markers.of(stage).get(Period.parse(period)) if known else None
        moved = {found.before: found for found in moved_in(upstream, dataset)} if upstream else {}
        found = moved.get(one.etag)
        yield Input(one.name, found.after, found.size) if found else one


def bits_of(hour: Marker) -> str:
    """Return the fingerprint of the keys of an hour's bits of viewers."""
    return str(hour.counts.get(BITS_OF) or hour.parameters.get(VIEWER_KEY))

"""Which episodes were played on some days, and what the captured schedule says of them."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from marquee.lake import keys
from marquee.lake.captured_schedule import latest_episodes
from marquee.lake.datasets import EPISODE_DAY
from marquee.lake.files import read_output
from marquee.lake.manifest import Marker, Output
from marquee.lake.markers import Markers
from marquee.storage.base import in_parallel

DAYS_HELD = 200
"""More than two quarters, which the exporter's window may touch: it reads each day once, and a run all the more."""

UNKNOWN_RUNTIME = -1

Episodes = npt.NDArray[np.int64]


class PlayedEpisodes:
    """The episodes of days, and their rows in the catalogue."""

    def __init__(self, markers: Markers) -> None:
        self._markers = markers
        self._read = lru_cache(DAYS_HELD)(self._read_episodes)
        self._catalogue: tuple[tuple[str, ...], pa.Table] | None = None

    def ids(self, days: Sequence[Marker]) -> Episodes:
        """Return the ids of the episodes that were played on any of the days, in order."""
        outputs = [output for day in days for output in day.of(EPISODE_DAY)]
        read = in_parallel(self._markers.store, self._read, outputs)
        return np.unique(np.concatenate([np.empty(0, np.int64), *read]))

    def known(self, days: Sequence[Marker]) -> pa.Table:
        """Return the catalogue's rows of these episodes: episode_id (sorted), show_id, runtime_seconds (or null)."""
        catalogue = self._latest()
        return catalogue.filter(pc.is_in(catalogue["episode_id"], value_set=pa.array(self.ids(days))))

    def digest(self, days: Sequence[Marker]) -> str:
        """Return a digest of these rows."""
        columns = [column.fill_null(UNKNOWN_RUNTIME).to_numpy() for column in self.known(days).columns]
        return hashlib.sha256(np.column_stack(columns).astype("<i8").tobytes()).hexdigest()

    def _latest(self) -> pa.Table:
        captures = tuple(sorted(marker.run_id for marker in self._markers.of(keys.SCHEDULE_FETCH).values()))
        if self._catalogue is None or self._catalogue[0] != captures:
            self._catalogue = captures, latest_episodes(self._markers)
        return self._catalogue[1]

    def _read_episodes(self, output: Output) -> Episodes:
        episodes: Episodes = read_output(self._markers.store, output)["episode_id"].to_numpy()
        return episodes

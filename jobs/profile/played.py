"""The episodes played on given days, and their rows in the captured schedule."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from marquee.lake import keys
from marquee.lake.datasets import EPISODE_DAY
from marquee.lake.manifest import Marker, Output
from marquee.lake.markers import Markers
from marquee.memo import remember
from marquee.storage.base import in_parallel

if TYPE_CHECKING:  # planning mostly reads cached digests, and these imports are slow
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

DAYS_HELD = 200
"""Days in the cache: more than two quarters, which the exporter's window may touch, so that each day is read once."""

UNKNOWN_RUNTIME = -1

Episodes: TypeAlias = "npt.NDArray[np.int64]"


class PlayedEpisodes:
    """Episodes played on days, with their rows in the catalogue of captured episodes."""

    def __init__(self, markers: Markers) -> None:
        self._markers = markers
        self._read = lru_cache(DAYS_HELD)(self._read_episodes)
        self._catalogue: tuple[tuple[str, ...], pa.Table] | None = None

    def ids(self, days: Sequence[Marker]) -> Episodes:
        """Return the ids of the episodes played on any of the days, sorted."""
        import numpy as np  # noqa: PLC0415

        outputs = [output for day in days for output in day.of(EPISODE_DAY)]
        read = in_parallel(self._markers.store, self._read, outputs)
        return np.unique(np.concatenate([np.empty(0, np.int64), *read]))

    def known(self, days: Sequence[Marker]) -> "pa.Table":
        """Return the catalogue's rows of these episodes: episode_id (sorted), show_id, runtime_seconds (or null)."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        catalogue = self._latest()
        return catalogue.filter(pc.is_in(catalogue["episode_id"], value_set=pa.array(self.ids(days))))

    def digest(self, days: Sequence[Marker]) -> str:
        """Return a digest of these rows. It is cached by the digests of the objects that the rows come from."""
        played = [output.sha256 for day in days for output in day.of(EPISODE_DAY)]
        key = hashlib.sha256(repr((sorted(played), self._captures())).encode()).hexdigest()
        found: str = remember("schedule-of-played-episodes", key, lambda: self._derive_digest(days))
        return found

    def _derive_digest(self, days: Sequence[Marker]) -> str:
        import numpy as np  # noqa: PLC0415

        columns = [column.fill_null(UNKNOWN_RUNTIME).to_numpy() for column in self.known(days).columns]
        return hashlib.sha256(np.column_stack(columns).astype("<i8").tobytes()).hexdigest()

    def _latest(self) -> "pa.Table":
        from marquee.lake.captured_schedule import latest_episodes  # noqa: PLC0415

        captures = self._captures()
        if self._catalogue is None or self._catalogue[0] != captures:
            self._catalogue = captures, latest_episodes(self._markers)
        return self._catalogue[1]

    def _captures(self) -> tuple[str, ...]:
        return tuple(sorted(marker.run_id for marker in self._markers.of(keys.SCHEDULE_FETCH).values()))

    def _read_episodes(self, output: Output) -> Episodes:
        from marquee.lake.files import read_output  # noqa: PLC0415

        episodes: Episodes = read_output(self._markers.store, output)["episode_id"].to_numpy()
        return episodes

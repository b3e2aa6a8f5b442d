"""The episodes played on given days, and what the captured schedule says of them and of their shows."""

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, TypeAlias

from jobs.profile.settings import LAUNCH_DAYS
from marquee.calendar import Period
from marquee.errors import CorruptLakeError
from marquee.lake import keys
from marquee.lake.datasets import EPISODE_DAY
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers
from marquee.memo import remember
from marquee.storage.base import in_parallel

if TYPE_CHECKING:  # planning mostly reads cached digests, and these imports are slow
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from marquee.lake.captured_schedule import Catalogue

DAYS_HELD = 200
"""Days in the cache: more than two quarters, which the exporter's window may touch, so that each day is read once."""

UNKNOWN_RUNTIME = -1
EPOCH = date(1970, 1, 1)

Episodes: TypeAlias = "npt.NDArray[np.int64]"


class PlayedEpisodes:
    """Episodes played on days, with their rows in the catalogue of captured episodes."""

    def __init__(self, markers: Markers) -> None:
        self._markers = markers
        self._held: dict[str, Episodes] = {}
        """The episodes of days by the digest of the day's file."""
        self._catalogue: tuple[tuple[str, ...], _Listed | CorruptLakeError] | None = None

    def ids(self, days: Sequence[Marker]) -> Episodes:
        """Return the ids of the episodes played on any of the days, sorted."""
        import numpy as np  # noqa: PLC0415

        from jobs.profile.arrays import starts_of  # noqa: PLC0415

        if any(_played_on(day) not in self._held for day in days):
            self._hold(days)
        found = np.sort(np.concatenate([np.empty(0, np.int64), *(self._held[_played_on(day)] for day in days)]))
        return found[starts_of(found)]

    def _hold(self, days: Sequence[Marker]) -> None:
        """Hold the episodes of days, and of those that come after them, because planning goes on to these."""
        wanted = {day.period for day in days}
        others = [day for _, day in sorted(self._markers.of(keys.PROFILE).items()) if day.period not in wanted]
        ahead = [day for day in others if day.period > min(wanted)][:DAYS_HELD]
        try:
            read = self._read([*days, *ahead])
        except CorruptLakeError:  # perhaps of a day that nobody needs
            read = self._read(days)
        self._held = dict([*self._held.items()][-DAYS_HELD:]) | read

    def _read(self, days: Sequence[Marker]) -> dict[str, Episodes]:
        """Return the episodes of each day by the digest of the day's file."""
        import pyarrow as pa  # noqa: PLC0415

        from marquee.lake.files import read_output  # noqa: PLC0415
        from marquee.memo import remember_tables  # noqa: PLC0415

        schema = pa.schema([EPISODE_DAY.schema.field("episode_id")])
        store = self._markers.store

        def read(places: Sequence[int]) -> list[pa.Table]:
            return [
                pa.concat_tables([schema.empty_table(), *tables])
                for tables in in_parallel(
                    store,
                    lambda place: [read_output(store, one, schema.names) for one in days[place].of(EPISODE_DAY)],
                    places,
                )
            ]

        digests = [_played_on(day) for day in days]
        tables = remember_tables("played-episodes", digests, schema, read)
        return {digest: one["episode_id"].to_numpy() for digest, one in zip(digests, tables, strict=True)}

    def known(self, days: Sequence[Marker]) -> "Catalogue":
        """Return the catalogue's rows of these episodes and of their shows.

        ``seasons`` has all episodes of the seasons played, up to the last of the days: an episode that airs later
        changes nothing. It is empty for a single day, in which nobody can be seen to go on. ``premieres`` has
        the premieres of the last ``LAUNCH_DAYS``; it is empty for several days, because launches are counted by day.
        """
        from marquee.lake.captured_schedule import Catalogue  # noqa: PLC0415

        listed = self._latest()
        rows = listed.of(self.ids(days), _last_day(days), one_day=len(days) == 1)
        return Catalogue(*(table.take(row) for table, row in zip(listed.catalogue, rows, strict=True)))

    def digest(self, days: Sequence[Marker]) -> str:
        """Return a digest of these rows. It is cached by the digests of the objects that the rows come from."""
        played = [_played_on(day) for day in days]
        key = hashlib.sha256(repr((sorted(played), self._captures())).encode()).hexdigest()
        found: str = remember("schedule-of-played-launches", key, lambda: self._derive_digest(days))
        return found

    def _derive_digest(self, days: Sequence[Marker]) -> str:
        listed = self._latest()
        episodes, genres, seasons, premieres = listed.of(self.ids(days), _last_day(days), one_day=len(days) == 1)
        digest = hashlib.sha256(listed.episodes[episodes].tobytes())
        texts = (", ".join(rows) for rows in (listed.genres[genres], listed.premieres[premieres]))
        digest.update("([{}], [{}])".format(*texts).encode())
        digest.update(listed.seasons[seasons].tobytes())
        return digest.hexdigest()

    def _latest(self) -> "_Listed":
        from marquee.lake.captured_schedule import latest_catalogue  # noqa: PLC0415

        captures = self._captures()
        if self._catalogue is None or self._catalogue[0] != captures:
            try:
                self._catalogue = captures, _Listed(latest_catalogue(self._markers))
            except CorruptLakeError as error:  # read once, not for each period
                self._catalogue = captures, error
        if isinstance(self._catalogue[1], CorruptLakeError):
            raise self._catalogue[1]
        return self._catalogue[1]

    def _captures(self) -> tuple[str, ...]:
        return tuple(sorted(marker.run_id for marker in self._markers.of(keys.SCHEDULE_FETCH).values()))


class _Listed:
    """All that the schedule says, as numbers, so that the rows of a period are found without reading the rest.

    After another capture, the rows of each period so far are compared with those that it was made with.
    """

    def __init__(self, catalogue: "Catalogue") -> None:
        import numpy as np  # noqa: PLC0415

        self.catalogue = catalogue
        self.episodes = _matrix(catalogue.episodes)
        self.genres, self.premieres = _texts(catalogue.genres), _texts(catalogue.premieres)
        self._season_keys = catalogue.seasons["season_key"].to_numpy()
        self.seasons = _matrix(catalogue.seasons.drop(["season_key"]))  # it differs from capture to capture
        names = catalogue.seasons.column_names
        self._aired = self.seasons[:, names.index("airdate")]
        shows = (catalogue.episodes["show_id"], catalogue.genres["show_id"], catalogue.premieres["show_id"])
        columns = [column.to_numpy() for column in shows]
        ids, numbers = np.unique(np.concatenate(columns), return_inverse=True)
        self._number_of_shows = len(ids)
        self._show_of_episode, *others = np.split(numbers, np.cumsum([len(one) for one in columns])[:-1])
        self._show_of_genre, self._show_of_premiere = others
        self._premiered = _matrix(catalogue.premieres)[:, 1]

    def of(self, ids: Episodes, last: date, *, one_day: bool) -> "tuple[Episodes, Episodes, Episodes, Episodes]":
        """Return the rows of each table of the catalogue for the episodes played up to a day, in the order of rows."""
        import numpy as np  # noqa: PLC0415

        played = _places(self.episodes[:, 0], ids)
        shows = np.zeros(self._number_of_shows, np.bool_)
        shows[self._show_of_episode[played]] = True
        genres = np.flatnonzero(shows[self._show_of_genre])
        number = (last - EPOCH).days
        if one_day:
            recent = (self._premiered <= number) & (self._premiered > number - LAUNCH_DAYS)
            return played, genres, played[:0], np.flatnonzero(recent & shows[self._show_of_premiere])
        seasons = np.zeros(int(self._season_keys.max(initial=0)) + 1, np.bool_)
        seasons[self._season_keys[_places(self.seasons[:, 0], ids)]] = True
        listed = np.flatnonzero(seasons[self._season_keys] & (self._aired <= number))
        return played, genres, listed, played[:0]


def _texts(table: "pa.Table") -> "npt.NDArray[np.object_]":
    """Return each row as a text."""
    import numpy as np  # noqa: PLC0415

    return np.array([*map(repr, table.to_pylist())], np.object_)


def _matrix(table: "pa.Table") -> Episodes:
    """Return the columns of a table side by side: whole numbers, and days as their numbers."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    days = [column.cast(pa.int32()) if pa.types.is_date(column.type) else column for column in table.columns]
    matrix: Episodes = np.column_stack([one.fill_null(UNKNOWN_RUNTIME).to_numpy() for one in days]).astype("<i8")
    return matrix


def _places(listed: Episodes, ids: Episodes) -> Episodes:
    """Return where ids are in a list, without those that are not; both are in order."""
    import numpy as np  # noqa: PLC0415

    places = np.searchsorted(listed, ids)
    places, ids = places[places < len(listed)], ids[places < len(listed)]
    here: Episodes = places[listed[places] == ids]
    return here


def _played_on(day: Marker) -> str:
    """Return the digest of the episodes played on a day."""
    return day.as_input(EPISODE_DAY).etag


def _last_day(days: Sequence[Marker]) -> date:
    return max(Period.parse(day.period).date for day in days)

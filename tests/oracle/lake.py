"""A hand-made lake in the form that profile reads: hours rolled up from plays, and a captured schedule."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from marquee.calendar import Period, day, hour
from marquee.lake import keys
from marquee.lake.datasets import EPISODES, GENRES, SHOWS, SITTING_PERIOD, VIEWER_HOUR, VIEWER_PERIOD, Dataset
from marquee.lake.files import read_output, write_output
from marquee.lake.manifest import Marker, Output
from marquee.lake.markers import Markers, publish, read_marker
from marquee.storage.base import Store
from tests.oracle.audience import Catalogue, Genres, Play, filed, started

Rows = list[dict[str, Any]]


def roll_up(
    store: Store, plays: Iterable[Play], first: str, last: str, buckets: int = 2, viewer_key: str = "k"
) -> None:
    """Publish each hour from the first to the last, made of the plays that were filed in it."""
    by_hour: dict[datetime, list[Play]] = defaultdict(list)
    for play in plays:
        by_hour[filed(play)].append(play)
    for period in hour(first).until(hour(last).end):
        rows = to_viewer_hours(by_hour[period.start.replace(tzinfo=None)])
        publish_tables(store, keys.ROLLUP, period, [(VIEWER_HOUR, rows)], buckets, viewer_key)


def to_viewer_hours(plays: Iterable[Play]) -> Rows:
    """Return the rows of viewer_hour for the plays of one hour."""
    groups: dict[tuple[int, int, str, str], list[Play]] = defaultdict(list)
    for play in plays:
        groups[play["viewer"], play["episode"], play["country"], play["language"]].append(play)
    return [
        {
            **dict(zip(VIEWER_HOUR.sort, key, strict=True)),
            "plays": len(group),
            "watched_seconds": sum(play["watched_seconds"] for play in group),
            "first_at": min(map(started, group)),
            "last_at": max(play["received_at"] for play in group),
        }
        for key, group in sorted(groups.items())
    ]


Places = Mapping[int, tuple[int | None, int | None, date | None]]
"""Season, number and air date of episodes."""


def capture(
    store: Store,
    requested: str,
    catalogue: Catalogue,
    genres: Genres = MappingProxyType({}),
    places: Places = MappingProxyType({}),
    premieres: Mapping[int, date] = MappingProxyType({}),
) -> None:
    """Publish a captured schedule: a catalogue's episodes, their places in seasons, genres and premieres of shows."""
    shows = [
        {"show_id": show, "premiered": premieres.get(show)} for show in sorted({show for show, _ in catalogue.values()})
    ]
    episodes = [
        {
            "episode_id": episode,
            "show_id": show,
            "runtime_minutes": None if runtime is None else runtime // 60,
            **dict(zip(("season", "number", "airdate"), places.get(episode, (None,) * 3), strict=True)),
        }
        for episode, (show, runtime) in sorted(catalogue.items())
    ]
    captured: Rows = [
        {"show_id": show, "genre": genre} for show, those in sorted(genres.items()) for genre in sorted(those)
    ]
    publish_tables(
        store,
        keys.SCHEDULE_FETCH,
        day(requested),
        [(SHOWS, shows), (EPISODES, episodes), (GENRES, captured)],
        buckets=None,
    )


def publish_tables(
    store: Store,
    stage: str,
    period: Period,
    tables: Sequence[tuple[Dataset, Rows]],
    buckets: int | None,
    viewer_key: str = "",
    *,
    counts: Mapping[str, Any] = MappingProxyType({}),
    whole: Sequence[tuple[Dataset, Rows]] = (),
) -> None:
    """Publish tables as the next generation of a period; those of ``whole`` are not split by bucket."""
    now = datetime.now(UTC)
    run_id = keys.new_run_id(now)
    prefix = keys.run_prefix(stage, period, run_id)
    outputs: list[Output] = []
    for dataset, rows in tables:
        for bucket in range(buckets) if buckets else [None]:
            kept = [row for row in rows if bucket is None or buckets is None or row["viewer"] % buckets == bucket]
            if kept or bucket is None:
                table = pa.Table.from_pylist(kept, schema=dataset.schema)
                outputs.append(write_output(store, prefix, dataset, table, bucket))
    for dataset, rows in whole:
        outputs.append(write_output(store, prefix, dataset, pa.Table.from_pylist(rows, schema=dataset.schema), None))
    previous = read_marker(store, stage, period)
    marker = Marker(
        stage=stage,
        period=str(period),
        generation=previous.generation + 1 if previous else 1,
        run_id=run_id,
        code_version="test",
        definition_version="test",
        parameters={"buckets": buckets, "viewer_key_fingerprint": viewer_key},
        inputs=(),
        inputs_digest=run_id,
        outputs=tuple(outputs),
        counts=dict(counts),
        started_at=now.isoformat(),
        finished_at=now.isoformat(),
    )
    publish(store, marker, previous)


def read_rows(markers: Markers, stage: str, period: str, dataset: Dataset) -> Rows:
    """Return the rows of a dataset of the published run, of all buckets, by key."""
    marker = markers.of(stage)[Period.parse(period)]
    rows = [row for output in marker.of(dataset) for row in read_output(markers.store, output).to_pylist()]
    return sorted(rows, key=lambda row: [row[name] for name in dataset.sort])


def digests(store: Store, stage: str) -> dict[str, str]:
    """Return the checksum of each published file of a stage, by period and name without the run.

    The state of a period is left out: how its days are merged depends on the runs before.
    """
    return {
        f"{period}/{output.key.split('/run=')[1].partition('/')[2]}": output.sha256
        for period, marker in Markers(store).of(stage).items()
        for output in marker.outputs
        if output.dataset not in {VIEWER_PERIOD.name, SITTING_PERIOD.name}
    }

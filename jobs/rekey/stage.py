"""Brings the published periods of a stage to newer viewer keys: a run of its own for each, of its own objects alone.

A run moves the rows of viewers, and lists all other objects of the run before as they are. What the period was made of
stays, except that a content upstream that was moved takes the place of what it was before: so a period that was stale
is stale still. Hours come before days, and days before audiences. Of a day, the marker that is replaced is kept until
the end, because show_viewer numbers viewers of the last day of its period.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.profile.buckets import bucketing_of, in_bucket
from jobs.profile.departures import DEPARTURES, departing_in
from jobs.profile.played import PlayedEpisodes
from jobs.profile.state import STATE, Block, blocks_of, to_count
from jobs.rekey.kernels import Destination, MoveUnit, datasets_of, merge_nothing, move_rows, write_bucket
from jobs.rekey.settings import RekeySettings
from marquee.calendar import Grain, Period, Span
from marquee.engine.base import Engine
from marquee.lake import keys
from marquee.lake.datasets import SHOW_VIEWER, VIEWER_DAY, VIEWER_PERIOD
from marquee.lake.erasures import REPLACED
from marquee.lake.manifest import Input, Marker, Output, Parameters, Result, digest_inputs
from marquee.lake.markers import Markers
from marquee.lake.rekeyed import BITS_OF, REKEYED, VIEWER_KEY, bits_of, moved_in, moved_inputs, note_moved
from marquee.lake.superseded import SUPERSEDED, runs_to_note
from marquee.runs.stage import RunContext, Stage, Target
from marquee.storage.base import ObjectNotFoundError


class RekeyStage(Stage):
    """One of the stages with data of viewers, whose periods are those under older keys."""

    rekeys = True
    definition_version = ""
    """Not used: the definition of each run stays in force."""

    def __init__(self, name: str, settings: RekeySettings, markers: Markers, engine: Engine, viewer_key: str) -> None:
        self.name = name
        self._settings = settings
        self._markers = markers
        self._engine = engine
        self._viewer_key = viewer_key

    @property
    def parameters(self) -> Parameters:
        """Not used, as the definition."""
        return {}

    def periods(self, span: Span) -> Sequence[Period]:
        """Return the published periods under older keys, in the order of their ends."""
        made = self._markers.of(self.name)
        older = [period for period, one in made.items() if bucketing_of(one).viewer_key != self._viewer_key]
        return sorted(filter(span.touches, older), key=lambda one: (one.end, [*Grain].index(one.grain)))

    def target(self, period: Period) -> Target | None:
        """Return a period with the inputs of its published run; None if another process has moved it meanwhile."""
        published = self._markers.of(self.name)[period]
        return Target(period, published) if bucketing_of(published).viewer_key != self._viewer_key else None

    def waits_for(self, period: Period) -> str:
        """Return nothing: every published period can be moved."""
        del period
        return ""

    def make(self, target: Target, run: RunContext) -> Result:
        """Write what the published run has of viewers under the newer keys."""
        previous = self._markers.of(self.name)[target.period]
        bucketing = bucketing_of(previous)
        ended = self._markers.ended(self.name)
        by_viewer = {one.name for one in datasets_of(self.name)}
        moving = [one for one in ended.left(previous.outputs) if one.dataset in by_viewer]
        played = (
            self._played_in(target.period, previous) if any(one.dataset == SHOW_VIEWER.name for one in moving) else None
        )
        lake = self._settings.address(self._markers.store.url)
        units = [
            MoveUnit(
                lake,
                one,
                bucketing.viewer_key,
                self._viewer_key,
                bucketing.buckets,
                self._viewers_of_bucket(previous, played, one) if one.dataset == SHOW_VIEWER.name else (),
            )
            for one in moving
        ]
        outputs = [one for one in previous.outputs if one not in moving]
        if units:
            to = Destination(lake, run.prefix)
            outputs += self._engine.map_reduce_merge(move_rows, write_bucket, merge_nothing, units, to)[0]
        outputs.sort(key=lambda one: (keys.name_in_run(one.key), one.key))
        if self.name == keys.PROFILE:
            self._markers.store.put(run.prefix + keys.REPLACED, previous.to_json())
        return Result(tuple(outputs), self._counts(previous, run, outputs), self._corrected(target.period, previous))

    def _counts(self, previous: Marker, run: RunContext, outputs: Sequence[Output]) -> dict[str, Any]:
        found = {name: list(map(list, one)) for name, one in self._moved(previous, outputs).items()}
        counts = {
            **previous.counts,
            REKEYED: found,
            REPLACED: sorted(self._runs_before(run, Period.parse(previous.period))),
        }
        if self.name == keys.ROLLUP:
            return counts | {BITS_OF: bits_of(previous)}
        counts |= {"viewer_key": self._viewer_key}
        counts |= {SUPERSEDED: runs_to_note(previous, outputs, keys.run_started(run.run_id))}
        if self.name == keys.AUDIENCE:  # all blocks are in the prefix of one run now
            blocks = blocks_of(previous.counts, previous.run_id)
            counts |= {STATE: to_count([Block(run.run_id, 0, blocks[-1].stop)]) if blocks else []}
        return counts

    def _moved(self, previous: Marker, outputs: Sequence[Output]) -> Mapping[str, Sequence[Sequence[object]]]:
        return note_moved(previous, outputs, datasets_of(self.name))

    def _runs_before(self, run: RunContext, period: Period) -> Iterator[str]:
        """Yield all runs of the period that have objects, all of older keys, which `marquee gc` collects at once."""
        listed = self._markers.store.list(f"data/{self.name}/{period}/")
        found = {of[2] for one in listed if (of := keys.run_of(one.key))}
        yield from found - {run.run_id}

    def _corrected(self, period: Period, previous: Marker) -> Marker:
        """Return the marker of which the run is a correction: that of the published run, under the newer keys."""
        parameters = previous.parameters
        if self.name == keys.ROLLUP:
            parameters = {**parameters, VIEWER_KEY: self._viewer_key}
        inputs = tuple(moved_inputs(self._markers, previous.inputs))
        if self.name == keys.AUDIENCE:
            inputs = tuple(self._with_departures(period, inputs))
        digest = digest_inputs(inputs, parameters, previous.definition_version)
        return dataclasses.replace(previous, parameters=parameters, inputs=inputs, inputs_digest=digest)

    def _with_departures(self, period: Period, inputs: Sequence[Input]) -> Iterator[Input]:
        """Yield the inputs of an audience; the one of departures is a digest of days, and is that of the moved ones."""
        departing = departing_in(self._markers, period) if any(one.name == DEPARTURES for one in inputs) else None
        if departing is None:
            yield from inputs
            return
        days = [*departing.days.values()]
        catalogue = PlayedEpisodes(self._markers).digest(days)
        contents = [(one.as_input(VIEWER_DAY).etag, moved_in(one, VIEWER_DAY.name)) for one in days]
        before = departing.as_input(catalogue, [moved[-1].before if moved else etag for etag, moved in contents])
        for one in inputs:
            yield departing.as_input(catalogue) if one == before else one

    def _played_in(self, period: Period, previous: Marker) -> Marker | None:
        """Return the run of the last day of a period under the keys of the period; None if it is not known any more."""
        days = [one for day, one in sorted(self._markers.of(keys.PROFILE).items()) if day in period]
        last = days[-1] if days else None
        while last is not None and bucketing_of(last).viewer_key != bucketing_of(previous).viewer_key:
            last = self._replaced(last)
        return last

    def _replaced(self, day: Marker) -> Marker | None:
        period = Period.parse(day.period)
        key = keys.run_prefix(keys.PROFILE, period, day.run_id) + keys.REPLACED
        try:
            return Marker.from_json(self._markers.store.get(key), keys.success_key(keys.PROFILE, period), "")
        except ObjectNotFoundError:
            return None

    def _viewers_of_bucket(self, previous: Marker, last: Marker | None, output: Output) -> tuple[Output, ...]:
        """Return the objects that have the viewers of a bucket of a period: of its state, and of its last day."""
        bucket, buckets = keys.bucket_of(output.key), bucketing_of(previous).buckets
        state = (one for one in previous.of(VIEWER_PERIOD) if keys.bucket_of(one.key) == bucket)
        left = self._markers.ended(self.name).left(state)
        of_day = in_bucket(last, VIEWER_DAY, bucket, buckets) if last else ()
        return (*left, *self._markers.ended(keys.PROFILE).left(of_day))

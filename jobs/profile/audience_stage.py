"""audience: counts viewers by show and country, for each day, week, month and quarter to date.

Its inputs are the profiled days of the period, and the captured schedule of the episodes played in it and of their
seasons, as far as aired. A new capture makes only those periods stale for which it changes these episodes.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from jobs.profile.buckets import Bucketing, bucketing_of, common, in_bucket
from jobs.profile.day_bitmap import day_number, find_recent, find_spans, knows_loyalty
from jobs.profile.departures import DEPARTURES, departing_in, make_departures
from jobs.profile.ended import check_ended, note_ended
from jobs.profile.settings import BINGE5_EPISODES, LAUNCH_AGES, LAUNCH_DAYS, ProfileOptions, ProfileSettings
from jobs.profile.sittings import lasts_until, starts_before
from jobs.profile.state import STATE, Block, blocks_of, find_merged, to_count
from jobs.profile.superseded import supersede
from jobs.profile.units import STATE as DATASETS_OF_STATE
from jobs.profile.units import AudienceUnit, DayFiles
from marquee.calendar import Grain, Period, Span
from marquee.engine.base import Engine
from marquee.lake import keys
from marquee.lake.coverage import coverage_of
from marquee.lake.datasets import (
    AUDIENCE,
    DATASETS,
    DEPARTURE,
    LAUNCH_VIEWER,
    SITTING_DAY,
    UNKNOWN_GENRE,
    UNKNOWN_SHOW,
    VIEWER_DAY,
    VIEWER_SEEN,
    WORLDWIDE,
)
from marquee.lake.erasures import LATER, replaced_runs, told
from marquee.lake.layers import VIEWER_DAYS
from marquee.lake.manifest import Input, Marker, Output, Parameters, Result
from marquee.lake.markers import Markers
from marquee.runs.erasing import counts_of_run
from marquee.runs.stage import RunContext, Stage, Target
from marquee.sql import Values

if TYPE_CHECKING:
    from jobs.profile.played import PlayedEpisodes

log = logging.getLogger(__name__)

DEFINITION = "3"
"""Version of the definitions: change it when the same days, schedule and settings give other results."""

GRAINS = keys.GRAINS[keys.AUDIENCE]
BY_DAY = (VIEWER_DAY, SITTING_DAY)
SINCE = "launch_since"
"""Count of a day's marker: the day of the first premiere whose launch is known in full, as its number."""


class AudienceStage(Stage):
    """The stage audience, whose periods are days, weeks, months and quarters."""

    name = keys.AUDIENCE
    definition_version = DEFINITION

    def __init__(self, settings: ProfileSettings, markers: Markers, engine: Engine) -> None:
        self._settings = settings
        self._options = settings.profile
        self._markers = markers
        self._engine = engine
        self._forced = False

    @cached_property
    def _played(self) -> "PlayedEpisodes":
        from jobs.profile.played import PlayedEpisodes  # noqa: PLC0415 - reads with pyarrow and DuckDB

        return PlayedEpisodes(self._markers)

    @property
    def parameters(self) -> Parameters:
        """Settings that decide a period's content, as written to the marker: all thresholds."""
        return {
            name: float(value) if isinstance(value, Decimal) else value
            for name, value in self._options.model_dump().items()
        }

    def periods(self, span: Span) -> Sequence[Period]:
        """Return the days, weeks, months and quarters that contain a profiled day, in the order of their ends."""
        days = [*self._markers.of(keys.PROFILE), *self._markers.damaged(keys.PROFILE)]
        periods = {Period.containing(day.start, grain) for day in days for grain in GRAINS}
        return sorted(filter(span.touches, periods), key=lambda one: (one.end, GRAINS.index(one.grain)))

    def target(self, period: Period) -> Target | None:
        """Return the period's profiled days, the registry of the last day, and the schedule of the episodes played.

        None while the marker of one of them is damaged. A day without all its hours is an input by its hours too: an
        hour without plays changes no other input, but the marker must count it.
        """
        if self._damaged_input(period):
            return None
        days = list(self._days(period).values())
        inputs = [day.as_input(dataset) for day in days for dataset in BY_DAY]
        inputs.append(days[-1].as_input(VIEWER_SEEN))
        before = self._launches_before(period)
        if before:
            inputs.append(before.as_input(LAUNCH_VIEWER))
            inputs.append(Input(f"{self.name}/{before.period}/{SINCE}", str(before.counts[SINCE]), 0))
        inputs.append(Input("catalogue", self._played.digest(days), 0))
        if departing := departing_in(self._markers, period):
            inputs.append(departing.as_input(self._played.digest([*departing.days.values()])))
        covered = {day.period: coverage_of(day) for day in days}
        inputs += [
            Input(f"{keys.PROFILE}/{day}/hours", str(one), 0)
            for day, one in covered.items()
            if one and not one.complete
        ]
        return Target(period, tuple(inputs))

    def waits_for(self, period: Period) -> str:
        """Return the damaged marker that the period waits for. Otherwise any profiled day is enough."""
        damaged = self._damaged_input(period)
        return self._markers.why_missing(*damaged) if damaged else ""

    def stands(self, target: Target) -> bool:
        """Return whether retention has ended viewer days that a published period reads: it cannot be made again."""
        return target.period in self._markers.of(self.name) and self._ended_at(target.period) is not None

    def _ended_at(self, period: Period) -> datetime | None:
        """Return when retention ended viewer days or launches that a period reads; None if it has not."""
        ended = self._markers.ended(keys.PROFILE)
        if not ended:
            return None
        departing = departing_in(self._markers, period)
        read = {**self._days(period), **(departing.days if departing else {})}
        ends = [ended.end_of(VIEWER_DAYS.name, one) for one in read.values()]
        if before := self._launches_before(period):
            ends.append(self._markers.ended(self.name).end_of(VIEWER_DAYS.name, before))
        return max(filter(None, ends), default=None)

    def _damaged_input(self, period: Period) -> tuple[str, Period] | None:
        """Return the stage and period of an input whose marker is damaged: a day, or any capture of the schedule."""
        days = sorted(day for day in self._markers.damaged(keys.PROFILE) if day in period)
        if days:
            return keys.PROFILE, days[0]
        captures = sorted(self._markers.damaged(keys.SCHEDULE_FETCH))
        return (keys.SCHEDULE_FETCH, captures[0]) if captures else None

    def make(self, target: Target, run: RunContext) -> Result:
        """Count the period, bucket by bucket; BadInputError if its days differ in their viewer key."""
        from jobs.profile.audience import count_bucket, finish_period, list_steps  # noqa: PLC0415 - planning needs no kernel
        from jobs.profile.sets import count_sets  # noqa: PLC0415 - as above

        if previous := self._to_be_corrected(target, run.previous):
            return self._erase(target, run, previous)
        check_ended(target.period, self._ended_at(target.period), VIEWER_DAY.name)
        days = self._days(target.period)
        bucketing = common(days.values())
        catalogue = self._played.known(list(days.values()))
        launches = self._launches_before(target.period)
        since = _launch_since(target.period, launches, whole=_whole_days(days) == len(days))
        values = query_values(
            self._options, target.period, list(days), whole=_whole_days(days), launch_since=since or date.max
        )
        ladder = list_steps(catalogue, values)
        state = self._plan_state(target, run.previous, bucketing)

        def units_from(state: StatePlan) -> list[AudienceUnit]:
            return [
                AudienceUnit(
                    lake=self._settings.address(self._markers.store.url),
                    prefix=run.prefix,
                    bucket=bucket,
                    values=values,
                    kept=_outputs_of(run.previous, state.kept, bucket),
                    merging=_outputs_of(run.previous, state.merging, bucket),
                    merged=state.merged,
                    days=_day_files(target.period, [*days.items()][state.merged : -1], bucket, bucketing.buckets),
                    block=self._edges_of_block(days, state),
                    last=_day_files(target.period, [*days.items()][-1:], bucket, bucketing.buckets)[0],
                    seen=in_bucket(list(days.values())[-1], VIEWER_SEEN, bucket, bucketing.buckets),
                    sets=has_sets(target.period),
                    launches=in_bucket(launches, LAUNCH_VIEWER, bucket, bucketing.buckets) if launches else (),
                    catalogue=catalogue,
                    ladder=ladder,
                )
                for bucket in range(bucketing.buckets)
            ]

        units = units_from(state)
        parts = self._engine.map(count_bucket, units)
        if unreadable := next((part.unreadable for part in parts if part.unreadable), ""):
            log.warning("%s; %s is rebuilt from all days of the period", unreadable, target.period)
            state = NO_STATE
            units = units_from(state)
            parts = self._engine.map(count_bucket, units)
        outputs, orphan_seconds = finish_period(self._markers.store, run.prefix, parts, catalogue, ladder, values)
        if departing := departing_in(self._markers, target.period):
            seen = self._played.known([*departing.days.values()]).episodes
            outputs += make_departures(self._markers.store, self._engine, units[0], departing, seen)
        if has_sets(target.period):
            outputs += count_sets(self._markers.store, run.prefix, outputs, catalogue, values)
        counts = {
            "rows_in": sum(marker.rows(VIEWER_DAY) for marker in days.values()),
            "rows_out": sum(output.rows for output in outputs if output.dataset == AUDIENCE.name),
            "days": len(days),
            "hours": sum(one.hours for one in map(coverage_of, days.values()) if one),
            "hours_expected": target.period.hours,
            "viewers": sum(part.viewers for part in parts),
            "orphan_episodes": len(self._played.ids(list(days.values()))) - catalogue.episodes.num_rows,
            "orphan_seconds": orphan_seconds,
            STATE: to_count(state.blocks(run.run_id, len(days) - 1)),
            **({SINCE: since.toordinal()} if since else {}),
            **bucketing._asdict(),
        }
        if kept := self._kept_figures(target, run.previous):
            outputs, counts = self._keep_figures(run.prefix, kept, outputs, counts)
        counts |= supersede(self._markers.store, run, outputs)
        honoured = self._markers.honoured_by([*days.values(), *([launches] if launches else [])])
        counts |= counts_of_run(run, honoured, self._markers)
        return Result(tuple(outputs), counts)

    def check(self, span: Span, *, force: bool) -> None:  # noqa: ARG002 - any span
        """Remember whether periods are made again although nothing has changed."""
        self._forced = force

    def hold_erased(self, runs: Sequence[Marker], engine: Engine | None = None) -> Sequence[bool]:
        """Search the objects of the buckets of erased viewers."""
        from jobs.profile.erasing import hold_erased  # noqa: PLC0415 - planning needs no kernel

        address = self._settings.address(self._markers.store.url)
        return hold_erased(address, engine or self._engine, runs, self._markers)

    def _to_be_corrected(self, target: Target, previous: Marker | None) -> Marker | None:
        """Return the previous run if viewers are to be erased from it, and it cannot be counted again."""
        if previous is None or self._forced or not self._markers.unclean(previous):
            return None
        return previous if self._ended_at(target.period) is not None else None

    def _erase(self, target: Target, run: RunContext, previous: Marker) -> Result:
        """Write what is of viewers again without erased ones; the figures stay as they are published."""
        from jobs.profile.erasing import ErasedPeriodUnit, erase_period  # noqa: PLC0415 - planning needs no kernel

        requests, ended = self._markers.erasures, self._markers.ended(self.name)
        address, bucketing = self._settings.address(self._markers.store.url), bucketing_of(previous)
        buckets = bucketing.buckets
        *_, last = self._days(target.period).values()
        prefixes = [keys.run_prefix(last.stage, Period.parse(last.period), one) for one in sorted(replaced_runs(last))]
        store = self._markers.store
        before = [one.key for prefix in prefixes for one in store.list(f"{prefix}{VIEWER_DAY.name}/")]
        units = [
            ErasedPeriodUnit(
                address,
                run.prefix,
                bucketing,
                tuple(one for one in ended.left(previous.outputs) if _is_in_bucket(one, bucket)),
                requests.ids,
                bucket,
                tuple(self._markers.ended(keys.PROFILE).left(in_bucket(last, VIEWER_DAY, bucket, buckets))),
                tuple(before),
            )
            for bucket in range(buckets)
        ]
        parts = self._engine.map(erase_period, units)
        figures = [one for one in previous.outputs if not _is_by_bucket(one) or ended.has_output(one)]
        outputs = [*(output for part in parts for output in part.outputs), *figures]
        later = previous.counts.get(LATER, 0) + sum(part.viewers for part in parts)
        counts = {
            **previous.counts,
            STATE: [],
            **({LATER: later} if later else {}),
            **supersede(self._markers.store, run, outputs),
            **counts_of_run(run, requests, self._markers),
        }
        return Result(tuple(outputs), counts, previous)

    def _kept_figures(self, target: Target, previous: Marker | None) -> Marker | None:
        """Return the previous run if its published figures stay, because only erased viewers are missing since."""
        if previous is None or self._forced or self._settings.erasure.published != "keep":
            return None
        same = previous.is_made_by(self.parameters, self.definition_version) and self._markers.erasures.ids
        erased = same and self._markers.differ_by_erasure(previous.inputs, target.inputs, but=DEPARTURES)
        return previous if erased and (self._markers.unclean(previous) or LATER in previous.counts) else None

    def _keep_figures(
        self, prefix: str, kept: Marker, outputs: Sequence[Output], counts: Mapping[str, Any]
    ) -> tuple[list[Output], dict[str, Any]]:
        """Return outputs and counts with the figures of the run before; only what is of viewers is new.

        Departures are always counted again, because they are of days outside of the period, too.
        """
        own = [one for one in outputs if _is_by_bucket(one) or one.dataset == DEPARTURE.name]
        figures = [one for one in kept.outputs if not _is_by_bucket(one) and one.dataset != DEPARTURE.name]
        for one in outputs:
            if one not in own and one.key.startswith(prefix):
                self._markers.store.delete(one.key)
        later = kept.counts.get(LATER, 0) + max(0, kept.counts["viewers"] - counts["viewers"])
        return [*own, *figures], {**counts, **({LATER: later} if later else {})}

    def note(self, period: Period) -> str:
        """Return how many viewers the figures have that were erased later, and why a period stands that has ended."""
        later = self._markers.of(self.name)[period].counts.get(LATER, 0)
        erased = f"erased later: {told(later)}, who are still in its figures" if later else ""
        ended = note_ended(self, self._markers, period, self._ended_at(period), VIEWER_DAY.name)
        return "; ".join(filter(None, (erased, ended)))

    def _launches_before(self, period: Period) -> Marker | None:
        """Return the audience of the day before a day, from which its launches go on; None for other periods.

        None too if it is not made, so that a day that fails stops no other: launches begin anew, and once it is made,
        the days after it are stale. The same if its viewers have another key.
        """
        if period.grain is not Grain.DAY:
            return None
        before, day = self._markers.of(self.name).get(period.previous()), self._markers.of(keys.PROFILE)[period]
        if before is None or SINCE not in before.counts:
            return None
        return before if bucketing_of(before).viewer_key == bucketing_of(day).viewer_key else None

    def _days(self, period: Period) -> dict[Period, Marker]:
        """Return the markers of the period's profiled days, in order."""
        markers = self._markers.of(keys.PROFILE)
        return {day: markers[day] for day in period.parts(Grain.DAY) if day in markers}

    def _plan_state(self, target: Target, previous: Marker | None, bucketing: Bucketing) -> "StatePlan":
        """Return which blocks of the previous run's state to keep, and which to merge with later days.

        A block is used if its days have not changed. A run without a change (--force) rebuilds everything.
        """
        days = len(self._days(target.period)) - 1
        blocks: list[Block] = []
        if previous is not None and previous.inputs != target.inputs and bucketing_of(previous) == bucketing:
            same_rules = (previous.definition_version, previous.parameters) == (
                self.definition_version,
                self.parameters,
            )
            then, now = _day_inputs(previous.inputs), _day_inputs(target.inputs)
            blocks = blocks_of(previous.counts, previous.run_id) if same_rules else []
            blocks = list(takewhile(lambda one: one.stop <= days and _same(then, now, one), blocks))
        merged = blocks[-1].stop if blocks else 0
        merging = find_merged(blocks, days - merged) if merged < days else 0
        return StatePlan(tuple(blocks[: len(blocks) - merging]), tuple(blocks[len(blocks) - merging :]), merged)

    def _edges_of_block(self, days: Mapping[Period, Marker], state: "StatePlan") -> Values:
        """Return which sittings a new block keeps beside binges: those that may continue before or after it."""
        first = state.merging[0].start if state.merging else state.merged
        if len(days) - 1 <= state.merged:
            return {}
        listed, gap = list(days), self._options.sitting_gap_seconds
        return {
            "starts_before": starts_before(listed[first], gap) if first else None,
            "lasts_until": lasts_until(listed[-2], gap),
        }


@dataclass(frozen=True)
class StatePlan:
    """Blocks of the state that stay, and those that are merged with the days from ``merged`` on, except the last."""

    kept: tuple[Block, ...]
    merging: tuple[Block, ...]
    merged: int

    def blocks(self, run_id: str, days: int) -> list[Block]:
        """Return the blocks after the run, which has the first ``days`` of the period."""
        if days <= self.merged:
            return [*self.kept, *self.merging]
        start = self.merging[0].start if self.merging else self.merged
        return [*self.kept, Block(run_id, start, days)]


NO_STATE = StatePlan((), (), 0)


def has_sets(period: Period) -> bool:
    """Return whether sets of shows are counted for a period: on one day, too few viewers watch two shows."""
    return period.grain is not Grain.DAY


def query_values(
    options: ProfileOptions,
    period: Period,
    days: Sequence[Period],
    whole: int | None = None,
    launch_since: date = date.max,
) -> Values:
    """Return the parameters of all queries of a period whose ``days`` are profiled.

    The first ``whole`` of them have all their hours, by default all of them.
    """
    whole = len(days) if whole is None else whole
    return {
        **options.model_dump(),
        "binge5_episodes": BINGE5_EPISODES,
        "first_day": period.date,
        "spans": find_spans(period, days),
        "knows_loyalty": knows_loyalty(period, days),
        # In a short period the window is shorter, so that the windows of its first half are over.
        "step_days": max(min(options.step_days, whole // 2), 1),
        "whole_days": day_number(period, days[whole - 1]) + 1 if whole else 0,
        "day": days[-1].date,
        "launch_since": launch_since,
        "launch_days": LAUNCH_DAYS,
        "launch_ages": list(LAUNCH_AGES),
        "recent": find_recent(period, days[-1], options.step_days),
        "unknown_genre": UNKNOWN_GENRE,
        "unknown_show": UNKNOWN_SHOW,
        "worldwide": WORLDWIDE,
    }


def _launch_since(period: Period, before: Marker | None, *, whole: bool) -> date | None:
    """Return the day of the first premiere whose launch is known in full; None for periods other than days."""
    if period.grain is not Grain.DAY:
        return None
    if before:
        return date.fromordinal(int(before.counts[SINCE]))
    return period.date if whole else period.next().date


def _is_in_bucket(output: Output, bucket: int) -> bool:
    return _is_by_bucket(output) and keys.bucket_of(output.key) == bucket


def _is_by_bucket(output: Output) -> bool:
    """Return whether an object has rows of viewers."""
    return any(one.by_bucket and one.name == output.dataset for one in DATASETS)


def _whole_days(days: Mapping[Period, Marker]) -> int:
    """Return the number of days without the last one if hours of it are still missing."""
    *_, last = days.values()
    covered = coverage_of(last)
    return len(days) if covered is None or covered.complete else len(days) - 1


def _day_files(
    period: Period, days: Sequence[tuple[Period, Marker]], bucket: int, buckets: int
) -> tuple[DayFiles, ...]:
    return tuple(
        DayFiles(day_number(period, day), *(in_bucket(marker, dataset, bucket, buckets) for dataset in BY_DAY))
        for day, marker in days
    )


def _outputs_of(previous: Marker | None, blocks: Sequence[Block], bucket: int) -> tuple[Output, ...]:
    """Return a bucket of some blocks of the previous run's state, which has the same buckets."""
    runs = {one.run_id for one in blocks}
    listed = (one for dataset in DATASETS_OF_STATE if previous and runs for one in previous.of(dataset))
    return tuple(one for one in listed if keys.bucket_of(one.key) == bucket and _run_of(one) in runs)


def _run_of(output: Output) -> str:
    run = keys.run_of(output.key)
    return run[2] if run else ""


def _same(then: Sequence[Input], now: Sequence[Input], block: Block) -> bool:
    """Return whether the inputs of a block's days are the same."""
    first, end = len(BY_DAY) * block.start, len(BY_DAY) * block.stop
    return end <= len(then) and then[first:end] == now[first:end]


def _day_inputs(inputs: Iterable[Input]) -> list[Input]:
    names = tuple(f"/{dataset.name}" for dataset in BY_DAY)
    return [one for one in inputs if one.name.endswith(names)]

"""Rolls up an hour: its raw objects to viewership, viewer hours by bucket, and rejects.

An hour is made after its end and a grace period, from the objects listed at that time. A new or changed object makes it
stale, unless other objects of the hour are gone, or retention has ended the hour: then the hour stands, and the object
is held. An hour without objects between other hours is made as an empty hour, because no traffic is a result, unless
it was made with plays before. An hour whose objects are all passed over unexpectedly fails, because they may be its
events.
"""

import dataclasses
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from jobs.rollup.checks import BUCKETS, changes, check_settings, explain_no_events, inventory_of, is_of, same_settings
from jobs.rollup.compiled import why_not_compiled
from jobs.rollup.contract import Fields, Window
from jobs.rollup.gone import (
    RESTORE,
    InputsOf,
    Left,
    by_force,
    describe_held,
    ended_at,
    lost_at_the_edges,
    several,
    was_made_with_plays,
    what_is_left,
)
from jobs.rollup.inventory import COMPRESSIONS, EARLIEST, Inventory, Kind, kinds_in_words
from jobs.rollup.key import keep
from jobs.rollup.looks import FEW, RECENT, Look, Looks, looks_of, read_looks, write_looks
from jobs.rollup.offsets import Break, Ranges, find_breaks, name_offsets, offsets_of, ranges_in
from jobs.rollup.settings import MOST_BUCKETS, RollupSettings
from jobs.rollup.units import Destination, ParseUnit
from marquee.calendar import DAY, EVER, HOUR, Grain, Period, Span
from marquee.compiled import REMEDY
from marquee.engine.base import Engine
from marquee.errors import BadInputError, ConfigError, MarqueeError, in_words
from marquee.lake import keys
from marquee.lake.datasets import REJECTS, VIEWER_HOUR
from marquee.lake.erasures import LATER, contents_after, counts_after, told
from marquee.lake.manifest import Input, Marker, Output, Parameters, Result, digest_inputs, settings_text
from marquee.lake.markers import Markers
from marquee.lake.rekeyed import VIEWER_KEY
from marquee.machine import MIB
from marquee.runs.erasing import search_runs
from marquee.runs.stage import RunContext, Stage, State, Target, is_current, state_of
from marquee.storage.base import ObjectInfo

if TYPE_CHECKING:
    from jobs.rollup.reduce import Reduced

log = logging.getLogger(__name__)

DEFINITION = "4"
"""Version of the definitions: change it when the same events and settings give other results."""

MOST_COMPRESSED = 1032
"""Maximum bytes that a byte of gzip stands for."""

UNBOUNDED = {"avro", "parquet", *COMPRESSIONS} - {"gz", "gzip"}
"""Endings of objects of which a byte may stand for any number of bytes."""

BUCKET_BYTES = 16 << 20
"""Bytes of compressed raw objects for a bucket: some 400,000 events."""

PLAIN = {"json", "jsonl", "ndjson"}
"""Endings of objects that are usually not compressed."""

PLAIN_BYTES = 8
"""Bytes of plain lines for a byte of compressed ones."""

SHORTEST_PLAY = 48
"""Minimum bytes of a play as JSON."""

NOT_LISTED = Inventory()
UNREAD_HINT = "Check names and folders, and MARQUEE_ROLLUP__PATH; or name what is expected in MARQUEE_ROLLUP__IGNORE"


GONE = "raw events of this hour are gone"

HOURS_A_SEARCH = 32
"""Hours that one task searches for erased viewers."""

OFFSETS_AROUND = 2 * DAY
"""Hours before and after a span whose offsets are compared with those of the span."""


class RollupStage(Stage):
    """The stage rollup, whose periods are hours."""

    name = keys.ROLLUP
    definition_version = DEFINITION

    @property
    def side_by_side(self) -> int:
        """Hours do not depend on each other."""
        return self._engine.side_by_side

    def __init__(
        self,
        settings: RollupSettings,
        markers: Markers,
        engine: Engine,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._options = settings.rollup
        self._markers = markers
        self._engine = engine
        self._clock = clock
        self._now = datetime.min.replace(tzinfo=UTC)
        """The last time that was asked for. An hour that was due then is due."""
        self._listed: Span | None = None
        self._found = NOT_LISTED
        self._forced: Span | None = None
        self._with_buckets: dict[str, Parameters] = {}
        self._beyond: tuple[tuple[Period | None, Period | None], list[Period]] | None = None
        self._looks: Looks | None = None
        self._listed_at = self._now
        self._number_made = 0
        """The number of hours with a marker at the last listing."""
        self._inputs: dict[Period, tuple[Input, ...]] = {}
        """Objects of the last listing as inputs, by hour, as far as somebody has asked."""
        self._whole: AbstractSet[datetime] | None = None
        """The whole days at the last listing, if it asked for them."""
        self._skipped: Mapping[datetime, Look] = {}
        """The last looks at the days of the span that the last listing left out, by their starts."""
        self._done_dates: AbstractSet[date] = frozenset()
        """Days of which all hours are done: those left out, and those that are quiet by the last listing."""
        self._span = EVER
        self._breaks: list[Break] | None = None

    @property
    def _hours(self) -> Mapping[Period, list[ObjectInfo]]:
        """The objects that are read, by hour."""
        return self._found.hours

    @cached_property
    def viewer_key(self) -> str:
        """The fingerprint of the viewer key, by which tasks find it."""
        return keep(self._options.viewer_key)

    @cached_property
    def parameters(self) -> Parameters:
        """Settings that decide an hour's content, as written to the marker."""
        options = self._options
        return {
            "fields": options.fields.model_dump(),
            "slack_minutes": options.slack_minutes,
            VIEWER_KEY: self.viewer_key,
        }

    def periods(self, span: Span) -> Sequence[Period]:
        """Return the hours of the span, without gaps from the first to the last with objects, a marker or a failure."""
        self._span, self._breaks = span, None
        # With a start, limits the listing at both ends: listing the whole store would be slow.
        self._listed_at, self._number_made, self._inputs = self._clock(), len(self._markers.of(self.name)), {}
        ahead = self._listed_at + HOUR
        self._listed = listed = Span(span.start or self._list_from(), span.end or ahead)
        self._looks = self._read_looks() if listed.start is None and self._forced is None else None
        self._whole = None
        self._skipped = self._quiet_days(self._looks) if self._looks else {}
        self._done_dates = {start.date() for start in self._skipped}
        self._found = inventory_of(self._settings, listed, Span(EARLIEST, None if span.end else ahead), self._skipped)
        # Of a failed or pending hour without a marker, the objects may be gone: it is tried, and says so.
        tried = [*self._markers.failures(self.name), *self._markers.pending(self.name)]
        known = [*self._found.known, *self._markers.of(self.name), *tried]
        by_start = attrgetter("start")
        edges = min(known, key=by_start, default=None), max(known, key=by_start, default=None)
        known = [*filter(None, edges), *self._lost(edges)]
        if not known:
            return []
        return [hour for hour in min(known).until(max(known).end) if span.touches(hour)]

    def _list_from(self) -> datetime | None:
        """Return the start of the listing: lookback_days before the first hour that is not done; None for no limit."""
        markers, failures = self._markers.of(self.name), self._markers.failures(self.name)
        if self._options.lookback_days is None or not markers:
            return None
        # A failed or damaged hour has to be made from its objects.
        damaged = self._markers.damaged(self.name)
        hour = min([*markers, *damaged, *failures, *self._markers.pending(self.name)])
        while (marker := markers.get(hour)) and hour not in failures and self._is_settled(marker):
            hour = hour.next()
        return hour.start - timedelta(days=self._options.lookback_days)

    def _is_current(self, marker: Marker) -> bool:
        """Return whether an hour was made with these settings, by this definition; in any number of buckets."""
        return marker.is_made_by(self._like(marker), self.definition_version)

    def _is_settled(self, marker: Marker) -> bool:
        """Return whether an hour is current and holds no erased viewer, as far as is known."""
        return self._is_current(marker) and not self._markers.unclean(marker)

    def _is_current_of(self, marker: Marker, target: Target) -> bool:
        """Return whether an hour was made of just these objects, with these settings."""
        return target.given is marker or is_of(marker, target.inputs, self.parameters, self.definition_version)

    def _like(self, marker: Marker) -> Parameters:
        """Return the settings in the form of a marker: one of an earlier version has its number of buckets in them."""
        if BUCKETS not in marker.parameters:
            return self.parameters
        number = marker.parameters[BUCKETS]
        return self._with_buckets.setdefault(str(number), {**self.parameters, BUCKETS: number})

    def announce(self, *, ended: bool) -> None:
        """Publish which hours of the listed days are due, have objects and have no success: their days must wait.

        An hour whose objects are gone since another run listed them stays: see ``_check_gone``.
        """
        now, made = self._clock(), self._markers.of(self.name)
        seen = self._found.known | self._found.beside
        pending = {hour for hour in seen if hour not in made and self._due_from(hour) <= now}
        self._markers.announce(self.name, pending, tidy=ended)
        backlog = len(made) - self._number_made > RECENT // HOUR  # its days need not all be listed by the next run
        if backlog:
            self._whole = None
        if self._looks and (backlog or not ended):
            self._note_looks(self._looks)

    def _read_looks(self) -> Looks:
        """Return the last looks at quiet days, for this raw store and these settings."""
        options, made_with = self._options, settings_text(self.parameters, self.definition_version)
        of = looks_of(self._settings.raw, options.path, options.topic, options.ignore, made_with)
        return read_looks(self._markers.store, of) if self._markers.has(self.name, keys.looks_key()) else Looks(of)

    def _quiet_days(self, looks: Looks) -> Mapping[datetime, Look]:
        """Return the days that this run need not list, by their starts: none with an hour that may have to be made."""
        quiet = looks.quiet(self._quiet_before(), self._clock()) if looks.days and self._markers.of(self.name) else []
        self._whole = self._whole_days() if quiet else None
        return {one.start: looks.days[one] for one in quiet if self._whole and one.start in self._whole}

    def _whole_days(self) -> AbstractSet[datetime]:
        """Return the starts of the days of which all hours were made by these settings, and none has failed."""
        failed = self._markers.failures(self.name)
        made = Counter(
            hour.start.date()
            for hour, one in self._markers.of(self.name).items()
            if self._is_settled(one) and (not failed or hour not in failed)
        )
        whole = (one for one, hours in made.items() if hours == DAY // HOUR)
        return {datetime.combine(one, time.min, UTC) for one in whole}

    def _quiet_before(self) -> datetime:
        return max(hour.start for hour in self._markers.of(self.name)) - RECENT

    def _is_quiet(self, hour: Period) -> bool:
        """Return whether a made hour has exactly the objects that the last listing found, if it found any."""
        here = self._objects(hour)
        return not self._found.unread.get(hour) and (not here or _was_made_of(self._markers.of(self.name)[hour], here))

    def _note_looks(self, looks: Looks) -> None:
        """Write which days are quiet by the last listing, and when they were looked at, if there are many objects."""
        if not self._markers.of(self.name):
            return
        before, now, found = self._quiet_before(), self._listed_at, self._found
        old = sum(len(objects) for hour, objects in found.hours.items() if hour.end <= before)
        if old + sum(sum(look.objects.values()) for look in self._skipped.values()) <= FEW:
            return
        whole = self._whole_days() if self._whole is None else self._whole  # nothing was made since the listing
        listed = {hour.start.replace(hour=0) for hour in found.hours} & whole - found.strays
        days = {
            day: Look(now, _sum(found.counts(hour) for hour in day.parts(Grain.HOUR)))
            for day in (Period(start, Grain.DAY) for start in listed)
            if day.end <= before and all(map(self._is_quiet, day.parts(Grain.HOUR)))
        }
        self._done_dates |= {day.date for day in days}
        after = Looks(looks.of, {Period(start, Grain.DAY): look for start, look in self._skipped.items()} | days)
        if after.days != looks.days and after.objects > FEW:
            write_looks(self._markers.store, after)
            self._looks = after

    def target(self, period: Period) -> Target | None:
        """Return the hour's objects; None before the hour's end and grace period."""
        due_from = self._due_from(period)
        if self._now < due_from:
            self._now = self._clock()
            if self._now < due_from:
                return None
        marker = self._markers.of(self.name).get(period)
        if marker is not None and not self._was_listed(period):
            return Target(period, marker)
        here = self._objects(period)
        if not here and not (marker and _had_inputs(marker)):
            here = _inputs(self._unread(period))
        return Target(period, here)

    def known_done(self, period: Period) -> bool:
        """Return whether an hour is of a quiet day: all hours of it are current."""
        return period.date in self._done_dates

    def _objects(self, period: Period) -> tuple[Input, ...]:
        if period not in self._inputs:
            self._inputs[period] = _inputs(self._hours.get(period, []))
        return self._inputs[period]

    def _was_listed(self, period: Period) -> bool:
        if self._listed is None or not self._listed.touches(period):
            return False
        return not self._skipped or period.start.replace(hour=0) not in self._skipped

    def stands(self, target: Target) -> bool:
        """Return whether raw objects of a published hour are gone, or retention has ended it: it is not made again.

        An hour also stands if only its number of buckets, which was a parameter in earlier versions, is different.
        """
        marker = self._markers.of(self.name).get(target.period)
        if marker is None or not same_settings(marker, self.parameters):
            return False
        if self.ended_at(target.period):
            return True
        if target.given is marker:  # the objects of its hour were not listed
            return self._is_current(marker)
        if is_of(marker, target.inputs, self.parameters, self.definition_version):
            return True
        return bool(self.left(target.period).gone)

    def left(self, period: Period) -> Left:
        """Return which raw objects of a published hour are gone, and which are held; neither if it was not listed."""
        marker = self._markers.of(self.name).get(period)
        if marker is None or not self._was_listed(period):
            return Left()
        listed = self._objects(period)
        if _was_made_of(marker, listed):
            return Left(count=len(listed))
        ended = self.ended_at(period) is not None
        if not listed and not self._found.ignored and marker.is_partly_known:  # expired, as all of a long past
            return Left(InputsOf(marker))
        # An object that a pattern names from now on is not gone: the hour is made again without it.
        kept = tuple(one for one in marker.inputs if one.name not in self._found.ignored)
        return what_is_left(dataclasses.replace(marker, inputs=kept), listed, ended=ended)

    def ended_at(self, period: Period) -> datetime | None:
        """Return when retention ended an hour, so that it takes no late file any more; None if it has not."""
        ended = self._markers.ended(self.name)
        return ended_at(ended, period) if ended else None

    def listed(self, period: Period) -> Sequence[ObjectInfo]:
        """Return the objects of an hour that are read, as the last listing found them."""
        return self._hours.get(period, ())

    def lacks_events(self, hour: Period) -> bool:
        """List the raw events of an hour; return whether some of which it was made are gone, as far as is known."""
        self.periods(Span(hour.start, hour.end))
        if hour in self._markers.of(self.name):
            return bool(self.left(hour).gone)
        return not self._objects(hour) and was_made_with_plays(self._markers.store, hour)

    def note(self, period: Period) -> str:
        """Return what a published hour lacks: held files, objects that were gone, records missing by their offsets."""
        marker, left = self._markers.of(self.name)[period], self.left(period)
        notes = [describe_held(period, left, self.ended_at(period))] if left.held else []
        if not left.gone and (missing := marker.counts.get("gone", 0)):
            notes.append(f"made by force when {several(missing, 'raw object')} of an earlier run had gone")
        if left.gone and marker.definition_version != self.definition_version:
            notes.append(f"made by definition {marker.definition_version}; raw events are gone")
        if later := marker.counts.get(LATER, 0):
            notes.append(f"erased later: {told(later)}, whose plays are still in its viewership")
        return "; ".join([*notes, *(str(one) for one in self.breaks if one.hour == period)])

    @property
    def offsets(self) -> dict[Period, Ranges]:
        """Counted offsets of the hours of the span that was planned last, and of some hours around it."""
        around = Span(
            self._span.start and self._span.start - OFFSETS_AROUND, self._span.end and self._span.end + OFFSETS_AROUND
        )
        counted = {
            hour: ranges_in(one.counts) for hour, one in self._markers.of(self.name).items() if around.touches(hour)
        }
        return {hour: ranges for hour, ranges in counted.items() if ranges}

    @property
    def breaks(self) -> list[Break]:
        """Gaps and overlaps of offsets in the span that was planned last."""
        if self._breaks is None:
            found = find_breaks(self.offsets, self._is_open) if self._options.offsets == "auto" else []
            self._breaks = [one for one in found if self._span.touches(one.hour)]
        return self._breaks

    def _is_open(self, hour: Period) -> bool:
        """Return whether records that seem to be missing may be in an hour: in files that no marker has counted."""
        marker, target = self._markers.of(self.name).get(hour), self.target(hour)
        if target is None:
            return False
        if marker is None and not target.inputs:
            made = self._markers.of(self.name)
            left_out = not self._was_listed(hour) and min(made) < hour < max(made)
            return left_out or hour in self._markers.failures(self.name)
        if state_of(self, target, self._markers) is not State.DONE or self.left(hour).held:
            return True
        return (
            marker is not None and ranges_in(marker.counts) is None and name_offsets(one.name for one in marker.inputs)
        )

    def waits_for(self, period: Period) -> str:
        """Return when the hour can be made."""
        return f"not over yet: made from {self._due_from(period):%Y-%m-%d %H:%M} UTC on"

    def _due_from(self, hour: Period) -> datetime:
        return hour.end + self._grace

    @cached_property
    def _grace(self) -> timedelta:
        return timedelta(minutes=self._options.grace_minutes)

    def check(self, span: Span, *, force: bool) -> None:
        """Refuse a viewer key other than the lake's, and settings that make hours without raw events stale."""
        self._forced = span if force else None
        if not force:
            check_settings(self._settings, self.parameters, self._markers.of(self.name), span)

    def explain(self, span: Span) -> str:
        """Return why there is no hour to make; ConfigError if there are no events where the settings look for them."""
        if any(map(span.touches, self._markers.of(self.name))):
            return ""
        if not any(map(span.touches, self._hours)):
            return explain_no_events(self._settings, span, self._markers.of(self.name), self._clock())
        first = min(filter(span.touches, self._hours))
        return f"{first} is {self.waits_for(first)}"

    def make(self, target: Target, run: RunContext) -> Result:
        """Roll up the hour; BadInputError if more lines are rejected than the settings allow."""
        from jobs.rollup.kernel import parse_objects  # noqa: PLC0415 - planning needs no kernel
        from jobs.rollup.reduce import finish_hour, merge_viewership, reduce_key  # noqa: PLC0415 - as above

        previous = run.previous
        unclean = self._markers.unclean(previous) if previous else ()
        if previous and unclean and self._is_to_be_corrected(target, previous):
            return self._erase(target.period, run, previous, unclean)
        self._check_unread(target)
        missing = self._check_gone(target, previous)
        store, period, requests = self._settings.store, target.period, self._markers.erasures
        to = Destination(
            self._settings.address(store.url),
            run.prefix,
            period.start.replace(tzinfo=None),
            requests.ids,
            self.viewer_key,
        )
        buckets = self._options.buckets
        number = buckets_for(target.inputs) if buckets == "auto" else buckets
        reduced, viewership = self._engine.map_reduce_merge(
            parse_objects, reduce_key, merge_viewership, self._units(target, number), to
        )
        counts = _count(period, reduced)
        try:
            self._check_plays(period, reduced)
            self._check_rejects(period, counts)
        except BadInputError:
            if viewership:  # an hour with it was made: see gone.py
                store.delete(viewership.key)
            raise
        outputs = finish_hour(store, run.prefix, reduced, viewership)
        counts |= {"buckets": number, "objects": self._found.counts(period)}
        counts |= {"gone": missing} if missing else {}
        if self._options.offsets == "auto":
            read = {key: lines for one in reduced for key, lines in one.lines.items()}
            counts |= {"offsets": offsets_of(read)} if name_offsets(read) else {}
        if requests.ids:
            counts |= {"erased": sum(one.erased for one in reduced)}
            counts |= counts_after(requests, previous, unclean, self._clock(), removed=bool(unclean))
            if previous and previous.counts.get(BUCKETS) == number and self._is_current_of(previous, target):
                counts |= contents_after(previous, [VIEWER_HOUR])
        return Result(tuple(outputs), counts)

    def hold_erased(self, runs: Sequence[Marker], engine: Engine | None = None) -> Sequence[bool]:
        """Search viewer hours and rejects: only the objects of the buckets of erased viewers are read."""
        from jobs.rollup.erasing import Erased, SearchUnit, search  # noqa: PLC0415 - planning needs no kernel

        lake = self._settings.address(self._markers.store.url)

        def unit_of(requests: tuple[str, ...], some: Sequence[Marker]) -> SearchUnit:
            hours = tuple((_buckets_of(one), self._with_viewers(one)) for one in some)
            return SearchUnit(lake, hours, Erased(requests, self.viewer_key))

        return search_runs(engine or self._engine, search, unit_of, runs, self._markers, HOURS_A_SEARCH)

    def _with_viewers(self, marker: Marker) -> tuple[Output, ...]:
        """Return the objects of an hour that hold data of viewers, and have not ended."""
        ended = self._markers.ended(self.name)
        return tuple(one for dataset in (VIEWER_HOUR, REJECTS) for one in ended.left(marker.of(dataset)))

    def _is_to_be_corrected(self, target: Target, previous: Marker) -> bool:
        """Return whether an hour is erased from its published objects alone: its raw events are gone, or not wanted."""
        if self._forced is not None:
            return False
        unread = target.given is previous or bool(self.left(target.period).gone or self.ended_at(target.period))
        keep = self._settings.erasure.published == "keep"
        return unread or (keep and is_current(self, target, previous))

    def _erase(self, period: Period, run: RunContext, previous: Marker, unclean: Sequence[str]) -> Result:
        """Write the hour again without erased viewers from its published objects; its viewership stays as it is."""
        from jobs.rollup.erasing import Erased, RewriteUnit, rewrite_object  # noqa: PLC0415 - planning needs no kernel

        requests = self._markers.erasures
        erased = Erased(requests.ids, self.viewer_key)
        lake = self._settings.address(self._markers.store.url)
        held = self._with_viewers(previous)
        units = [RewriteUnit(lake, run.prefix, one, _buckets_of(previous), erased) for one in held]
        parts = self._engine.map(rewrite_object, units)
        other = (one for one in previous.outputs if one not in held)
        outputs = [*other, *(one.output for one in parts if one.output)]
        viewers = sum(one.viewers for one in parts)
        counts = {
            **previous.counts,
            **counts_after(requests, previous, unclean, self._clock(), removed=True),
            **contents_after(previous, [VIEWER_HOUR]),
            **({LATER: previous.counts.get(LATER, 0) + viewers} if viewers else {}),
        }
        log.info("%s is written again without erased viewers; its viewership stays as published", period)
        return Result(tuple(sorted(outputs, key=lambda one: keys.name_in_run(one.key))), counts, previous)

    def objects(self, period: Period | None) -> Mapping[str, int]:
        """Return the number of raw objects of an hour by class; of None, of those in no hour's folder."""
        if period is not None and (marker := self._markers.of(self.name).get(period)) and not self._was_listed(period):
            made_of: Mapping[str, int] = marker.counts.get("objects", {})
            return made_of
        return self._found.counts(period)

    def remark(self) -> str:
        """Return which objects of the last listing are never read, unexpectedly."""
        unexpected = self._found.unexpected()
        return unexpected and f"raw objects that are never read in {self._settings.raw}: {unexpected}. {UNREAD_HINT}"

    def totals(self) -> Mapping[Kind, int]:
        """Return the number of raw objects by class: of the last listing, and of the last looks at other days."""
        if self._found is NOT_LISTED:
            return {}
        skipped = _sum(look.objects for look in self._skipped.values())
        return {kind: number + skipped.get(kind, 0) for kind, number in self._found.totals().items()}

    def _unread(self, period: Period) -> list[ObjectInfo]:
        return self._found.unread_of(period, self._options.layout)

    def _check_unread(self, target: Target) -> None:
        unread = self._unread(target.period)
        if unread and target.inputs == _inputs(unread):
            kinds = self._found.kinds.get(target.period) or {Kind.SYMLINK: len(unread)}  # of a folder above the hour's
            message = (
                f"{target.period}: none of the objects in its folder is read: {kinds_in_words(kinds)}, such as "
                f"{unread[0].key!r}. Nothing was published, because they may be its events. Give them a name that "
                "is read, move them away, or name them in MARQUEE_ROLLUP__IGNORE"
            )
            raise BadInputError(message)

    def _check_gone(self, target: Target, previous: Marker | None) -> int:
        """Return how many raw objects of an earlier run are gone; BadInputError or ConfigError if that is refused."""
        period, gone = target.period, self.left(target.period).gone
        self._check_ended(period, previous, gone)
        if previous is None:
            if target.inputs or not (before := self._before(period)):
                return 0
            found, kept = f"an earlier run {before}, and there is no raw object now", "Nothing was published"
        elif gone:
            found = f"{len(gone)} of {several(len(previous.inputs), 'raw object')}, such as {gone[0].name!r}"
            kept = "The published hour is unchanged"
        else:
            return 0
        if previous is not None and not same_settings(previous, self.parameters):
            message = (
                f"{period} cannot be made again with {changes(previous.parameters, self.parameters)}: "
                f"{len(gone)} of its {len(previous.inputs)} raw objects are gone, such as {gone[0].name!r}. {kept}"
            )
            raise ConfigError(message)
        if self._forced != Span(period.start, period.end):  # a wider span must not shrink hours that it only contains
            message = (
                f"{period}: {GONE}: {found}. {kept}. Restore them; or "
                f"{by_force(period, len(target.inputs))}, which names this hour alone"
            )
            raise BadInputError(message)
        log.warning("%s: %s: %s. It is made from what is left, by force", period, GONE, found)
        return len(gone)

    def _check_ended(self, period: Period, previous: Marker | None, gone: Sequence[Input]) -> None:
        """Refuse an hour that retention has ended, unless all of its raw objects are there again."""
        at = self.ended_at(period)
        if at is None or (previous is not None and not gone):
            return
        if previous is None:
            marker = keys.success_key(self.name, period)
            what = f"It has no valid marker, and nothing was published. Restore {marker} from a backup"
        else:
            lacks = f"{len(gone)} of its {several(len(previous.inputs), 'raw object')} are gone"
            what = f"{lacks}. The published hour is unchanged. {RESTORE}"
        message = f"{period} cannot be made again, also not by force: retention ended it on {at:%Y-%m-%d}. {what}"
        raise BadInputError(message)

    def _before(self, period: Period) -> str:
        """Return what earlier runs did with the raw objects of an hour without a marker; empty if there were none."""
        if was_made_with_plays(self._markers.store, period):
            return "made it with plays"
        if period not in self._markers.pending(self.name) or Kind.IGNORED in self.objects(period):
            return ""
        failure = self._markers.failures(self.name).get(period)
        if failure is None or failure.exit_code != BadInputError.exit_code or GONE in failure.reason:
            return "listed some and could not make it"
        # Whoever removes a file that fails its hour has decided: it is not a file that expired unread.
        log.warning("%s: its raw events, which failed, are gone. It is published as an empty hour", period)
        return ""

    def _lost(self, edges: tuple[Period | None, Period | None]) -> Sequence[Period]:
        """Return hours with plays before or after the known ones whose markers and raw objects are gone."""
        if self._beyond is None or self._beyond[0] != edges:
            self._beyond = edges, list(lost_at_the_edges(self._markers.store, *edges))
        return self._beyond[1]

    def _units(self, target: Target, buckets: int) -> list[ParseUnit]:
        options, period = self._options, target.period
        slack = timedelta(minutes=options.slack_minutes)
        return [
            ParseUnit(
                raw=self._settings.address(self._settings.raw),
                objects=group,
                window=Window((period.start - slack).replace(tzinfo=None), (period.end + slack).replace(tzinfo=None)),
                fields=Fields(**options.fields.model_dump()),
                buckets=buckets,
                viewer_key=self.viewer_key,
                limits=options.limits.limits,
                most_rejects=self._most_rejects(target.inputs),
                compiled=self._compiled,
            )
            for group in _group(target.inputs, options.unit_mb * MIB)
        ]

    @cached_property
    def _compiled(self) -> bool:
        """Whether compiled code reads JSON lines: everywhere, because all tasks of an hour have to hash alike."""
        if self._options.parser == "sql":
            return False
        if reason := why_not_compiled():
            log.info("JSON lines are read by SQL, which takes about three times as long: %s. %s", reason, REMEDY)
        return reason is None

    def _most_rejects(self, inputs: Sequence[Input]) -> float:
        """Return how many rejects make the hour fail, whatever its other lines are."""
        options = self._options
        if options.reject_share == 1:
            return math.inf
        most_plays = sum(_most_bytes(one, options.limits.limits.object_bytes) for one in inputs) / SHORTEST_PLAY
        return max(options.reject_lines, options.reject_share / (1 - options.reject_share) * most_plays)

    def _check_rejects(self, hour: Period, counts: dict[str, Any]) -> None:
        rejected, lines = sum(counts["rejects"].values()), counts["rows_in"]
        allowed = max(self._options.reject_lines, self._options.reject_share * lines)
        if rejected > allowed:
            message = (
                f"{hour}: {rejected} of {lines} lines were rejected ({in_words(counts['rejects'])}), {allowed:.0f} are "
                "allowed. Nothing was published. Fix the producer or the sink, or raise MARQUEE_ROLLUP__REJECT_SHARE"
            )
            raise BadInputError(message)

    def _check_plays(self, hour: Period, reduced: Sequence["Reduced"]) -> None:
        """Refuse objects with lines but without a play: however few their lines, they may be plays in another form."""
        playless = next((one for one in reduced if one.playless), None)
        if playless is None or self._options.allow_no_plays:
            return
        named = "; ".join(f"{key} ({in_words(reasons)})" for key, reasons in playless.examples.items())
        more = ", …" if playless.playless > len(playless.examples) else ""
        files = (
            "1 file has lines, but no play"
            if playless.playless == 1
            else f"{playless.playless} files have lines, but no play"
        )
        message = (
            f"{hour}: {files}; rejected lines by reason: {named}{more}. Nothing was published. Replace or remove the "
            "files, map other names of fields with MARQUEE_ROLLUP__FIELDS, or accept files and hours without plays "
            "with MARQUEE_ROLLUP__ALLOW_NO_PLAYS=true"
        )
        raise BadInputError(message)


def buckets_for(inputs: Sequence[Input]) -> int:
    """Return the number of viewer buckets for the raw objects of an hour: a power of two, which depends on them alone.

    So one hour in numbers of buckets that differ can be read with another: a bucket of 4 is two of 8.
    """
    plain = sum(one.size for one in inputs if _ending(one.name) in PLAIN)
    size = sum(one.size for one in inputs) - plain + plain // PLAIN_BYTES
    return min(MOST_BUCKETS, 1 << max(0, -(-size // BUCKET_BYTES) - 1).bit_length())


def _ending(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total = Counter[str]()
    for one in counts:
        total.update(one)
    return dict(total)


def _had_inputs(marker: Marker) -> bool:
    return not _was_made_of(marker, ())


def _was_made_of(marker: Marker, inputs: Sequence[Input]) -> bool:
    """Return whether these are the inputs of a marker, without reading them from it."""
    return marker.inputs_digest == digest_inputs(inputs, marker.parameters, marker.definition_version)


def _buckets_of(marker: Marker) -> int:
    """Return the number of viewer buckets of an hour, which was a parameter in earlier versions."""
    return int(marker.counts.get(BUCKETS) or marker.parameters[BUCKETS])


def _inputs(objects: Sequence[ObjectInfo]) -> tuple[Input, ...]:
    # A local name may be any bytes, and an input's is text.
    return tuple(Input(_text_of(info.key), info.etag, info.size) for info in objects)


def _text_of(key: str) -> str:
    return key if key.isascii() else key.encode(errors="backslashreplace").decode()


def _most_bytes(one: Input, limit: int) -> int:
    """Return the most bytes of JSON that an object may contain; an object beyond the limit is not read to its end."""
    return limit if _ending(one.name) in UNBOUNDED else min(one.size * MOST_COMPRESSED, limit)


def _group(inputs: Sequence[Input], unit_bytes: int) -> list[tuple[Input, ...]]:
    """Return the objects in groups of about ``unit_bytes``, in the order of keys."""
    groups: list[list[Input]] = []
    left = 0
    for one in sorted(inputs, key=lambda one: one.name):
        if one.size > left or not groups:
            groups.append([])
            left = unit_bytes
        groups[-1].append(one)
        left -= one.size
    return [tuple(group) for group in groups]


def _count(hour: Period, reduced: list["Reduced"]) -> dict[str, Any]:
    """Add up the counts; MarqueeError unless every line is a play, a duplicate or rejected."""
    lines = sum(sum(one.lines.values()) for one in reduced)
    plays = sum(one.plays for one in reduced)
    duplicates = sum(one.duplicates for one in reduced)
    reasons = next((one.reasons for one in reduced if one.reasons), {})
    erased = sum(one.erased for one in reduced)
    if lines != plays + duplicates + erased + sum(reasons.values()):
        message = (
            f"{hour}: {lines} lines were read, but {plays} plays, {duplicates} duplicates, {erased} of erased viewers "
            f"and rejects {reasons} do not add up to them. This is a bug: report it"
        )
        raise MarqueeError(message)
    return {"rows_in": lines, "rows_out": plays, "duplicates": duplicates, "rejects": reasons}

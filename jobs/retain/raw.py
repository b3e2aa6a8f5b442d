"""Plans the end of raw events: objects of hours that nothing has to make again, and files that are held.

An hour's raw object ends only if the hour was made from that very object, by key, size and etag. All others stay, and
are reported.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from jobs.retain.needs import Needs
from jobs.retain.plan import Context, Doomed, Kept, Plan, Removal
from jobs.rollup.gone import several
from jobs.rollup.inventory import Kind, kinds_in_words
from jobs.rollup.stage import RollupStage
from marquee.calendar import Grain, Period, Span
from marquee.lake import keys
from marquee.lake.layers import HELD, RAW
from marquee.lake.manifest import Input, Marker
from marquee.storage.base import ObjectInfo


def plan_raw(context: Context, plan: Plan) -> None:
    """Add the raw events and held files whose time is over. The raw store is listed a quarter at a time, by month."""
    before, made = _horizon(context), context.markers.of(keys.ROLLUP)
    if before is None or not made:
        return
    stage, needs = context.rollup, Needs(context, plan)
    for span in _quarters(min(made).start, before):
        if plan.full:
            plan.more = True
            return
        for hour in stage.periods(span):
            if hour.end <= before and not plan.full:
                _plan_hour(context, plan, stage, needs, hour)
        plan.more |= plan.full


def _horizon(context: Context) -> datetime | None:
    return max(filter(None, map(context.before, (RAW, HELD))), default=None)


def _quarters(start: datetime, end: datetime) -> Iterator[Span]:
    if start < end:
        for quarter in Period.containing(start, Grain.QUARTER).until(end):
            yield Span(max(quarter.start, start), min(quarter.end, end))


def _plan_hour(context: Context, plan: Plan, stage: RollupStage, needs: Needs, hour: Period) -> None:
    marker, listed = context.markers.of(keys.ROLLUP).get(hour), stage.listed(hour)
    if marker is None:
        if listed:
            plan.kept.append(Kept(RAW, hour, len(listed), "the hour is not published"))
        return
    before, entry = context.before(RAW), context.markers.ended(keys.ROLLUP).range_of(RAW.name, hour)
    if not listed and entry and entry.done:
        return
    own, others = _split(stage, marker, hour, listed)
    ends = before is not None and hour.end <= before
    if ends and (own or not (entry and entry.done)):
        if why := needs.why_hour(stage, hour):
            plan.kept.append(Kept(RAW, hour, len(listed), why))
            return
        plan.add(Removal(RAW, keys.ROLLUP, hour, marker.run_id, own))
    if ends and (other := {Kind(kind): n for kind, n in stage.objects(hour).items() if kind != Kind.READ}):
        plan.kept.append(Kept(RAW, hour, sum(other.values()), f"never read by the rollup: {kinds_in_words(other)}"))
    if others and (ends or stage.ended_at(hour)):
        _plan_held(context, plan, hour, marker, others)


def _split(
    stage: RollupStage, marker: Marker, hour: Period, listed: Sequence[ObjectInfo]
) -> tuple[tuple[Doomed, ...], tuple[Doomed, ...]]:
    """Return the objects of which an hour was made, and the others. The marker is read only if there are others."""
    here = tuple(Doomed(one.key, one.etag, one.size) for one in listed)
    left = stage.left(hour)
    if not left.gone and not left.held:
        return here, ()
    made_of = set(marker.inputs)
    own = tuple(one for one in here if Input(_text(one.key), one.tag, one.size) in made_of)
    return own, tuple(one for one in here if one not in own)


def _text(key: str) -> str:
    return key.encode(errors="backslashreplace").decode()


def _plan_held(context: Context, plan: Plan, hour: Period, marker: Marker, others: tuple[Doomed, ...]) -> None:
    before = context.before(HELD)
    if before is not None and hour.end <= before:
        plan.add(Removal(HELD, keys.ROLLUP, hour, marker.run_id, others))
        return
    what = f"held, such as {others[0].key}: the hour was not made from {several(len(others), 'object')}"
    plan.kept.append(Kept(HELD, hour, len(others), what))

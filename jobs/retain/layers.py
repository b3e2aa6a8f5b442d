"""Plans what ends: raw events (raw.py), and the lake's rejects, viewer hours, viewer days and schedule as served."""

from datetime import datetime, timedelta

from jobs.retain.needs import Needs
from jobs.retain.plan import Context, Kept, Plan, Removal, doomed, over
from jobs.retain.raw import plan_raw
from jobs.retain.settings import RetainSettings
from marquee.calendar import Grain, Period
from marquee.lake import keys
from marquee.lake.garbage import plan_garbage
from marquee.lake.layers import REJECTS, SCHEDULE_RAW, VIEWER_DAYS, VIEWER_HOURS, Layer, outputs_in
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers, read_marker
from marquee.storage.base import in_parallel

TOGETHER = 32
"""Periods whose markers are read together."""


def plan_removals(settings: RetainSettings, markers: Markers, today: datetime) -> Plan:
    """Return what ends by the settings on a day, and what stays although its time is over. Nothing is changed."""
    context, plan = Context(settings, markers, today), Plan(today)
    for part in (plan_raw, plan_rejects, plan_viewer_hours, plan_viewer_days, plan_schedule):
        part(context, plan)
    days = settings.retention.superseded_days
    if days is not None:
        plan.garbage = plan_garbage(markers.store, markers, today, timedelta(days=days))
    return plan


def plan_rejects(context: Context, plan: Plan) -> None:
    """Add the rejected lines of hours whose time is over: nothing is made from them."""
    _plan_alone(context, plan, REJECTS, keys.ROLLUP)


def plan_schedule(context: Context, plan: Plan) -> None:
    """Add the answers as served of days whose time is over: the tables were made from them."""
    _plan_alone(context, plan, SCHEDULE_RAW, keys.SCHEDULE_FETCH)


def plan_viewer_hours(context: Context, plan: Plan) -> None:
    """Add the viewer hours of days whose time is over, a day at a time."""
    before = context.before(VIEWER_HOURS)
    if before is None:
        return
    made, needs = context.markers.of(keys.ROLLUP), Needs(context, plan)
    for day in over(context.markers.of(keys.PROFILE), before):
        hours = [hour for hour in day.parts(Grain.HOUR) if hour in made]
        due = [hour for hour in hours if not _is_over(context, VIEWER_HOURS, made[hour])]
        if not due or _is_full(plan):
            continue
        if why := needs.why_viewer_hours(day):
            objects = sum(
                made[hour].datasets[name].objects for hour in due for name in _present(VIEWER_HOURS, made[hour])
            )
            plan.kept.append(Kept(VIEWER_HOURS, day, objects, why))
            continue
        _add(context, plan, VIEWER_HOURS, keys.ROLLUP, due)


def plan_viewer_days(context: Context, plan: Plan) -> None:
    """Add the viewer days of days whose time is over, and the viewer-level state of the periods of such days."""
    before = context.before(VIEWER_DAYS)
    if before is None:
        return
    needs = Needs(context, plan)
    for stage, why_needed in ((keys.PROFILE, needs.why_viewer_day), (keys.AUDIENCE, needs.why_state)):
        made = context.markers.of(stage)
        for period in over(made, before):
            if _is_over(context, VIEWER_DAYS, made[period]) or _is_full(plan):
                continue
            if why := why_needed(period):
                objects = sum(made[period].datasets[name].objects for name in _present(VIEWER_DAYS, made[period]))
                plan.kept.append(Kept(VIEWER_DAYS, period, objects, why))
            else:
                _add(context, plan, VIEWER_DAYS, stage, [period])


def _plan_alone(context: Context, plan: Plan, layer: Layer, stage: str) -> None:
    """Add what nothing is made from any more."""
    before = context.before(layer)
    if before is None:
        return
    made = context.markers.of(stage)
    due = [one for one in over(made, before) if _present(layer, made[one]) and not _is_over(context, layer, made[one])]
    for start in range(0, len(due), TOGETHER):
        if not _is_full(plan):
            _add(context, plan, layer, stage, due[start : start + TOGETHER])


def _is_full(plan: Plan) -> bool:
    plan.more |= plan.full
    return plan.full


def _is_over(context: Context, layer: Layer, marker: Marker) -> bool:
    """Return whether the objects of a published run are gone, or there never were any."""
    if not _present(layer, marker) and layer is not VIEWER_HOURS:
        return True
    return context.markers.ended(marker.stage).is_gone(layer.name, marker)


def _present(layer: Layer, marker: Marker) -> list[str]:
    return [name for name in layer.data if name in marker.datasets]


def _add(context: Context, plan: Plan, layer: Layer, stage: str, periods: list[Period]) -> None:
    """Add the objects of some periods' published runs. Markers are read and let go, because they may be large."""
    store = context.markers.store
    for period, marker in zip(
        periods, in_parallel(store, lambda one: read_marker(store, stage, one), periods), strict=True
    ):
        known = context.markers.of(stage)[period]
        if marker is not None and marker.run_id == known.run_id:
            objects = doomed(outputs_in(layer, marker.outputs))
            plan.add(Removal(layer, stage, period, marker.run_id, objects))

"""Layers of data by how long they are needed: what they are for, who reads them, and the setting that ends them.

Every dataset of the lake is in exactly one layer. ``marquee retain`` ends layers by this table, ``marquee verify``
knows by it what may be missing, and ``docs/data-layers.md`` is generated from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from marquee.lake import datasets as of
from marquee.lake.manifest import Output

PAYLOAD = "payload"
"""The answers of the schedule service as served. They are not a table, so ``datasets`` does not list them."""

LONGEST_PERIOD_DAYS = 92
"""Days of the longest quarter, which reads the viewer days of all its days."""
SEEN_AGAIN_DAYS = 55
"""Days before the first day of a week that it reads for shows that ended: twice 28 days, less one."""


@dataclass(frozen=True)
class Layer:
    """A part of the data that ends together.

    Attributes:
        name: name in the lake's lists of what has ended, and in metrics.
        data: the datasets, or what else it is.
        purpose: what it is for.
        personal: what it says of persons; empty if nothing.
        readers: what reads it, and until when.
        successor: what must exist before a period of it may end.
        access: who needs access to it.
        setting: the entry of the section ``retention`` with its days; empty if nothing ends it.
    """

    name: str
    data: tuple[str, ...]
    purpose: str
    personal: str
    readers: str
    successor: str
    access: str
    setting: str = ""


def _names(*listed: of.Dataset) -> tuple[str, ...]:
    return tuple(one.name for one in listed)


RAW = Layer(
    "raw",
    ("raw events",),
    "input of the rollup",
    "user ids with every play",
    "rollup of the hour, and its restatement by a late file",
    "the hour is made from exactly these objects, its objects are verified, and day, week, month and quarter are made "
    "from it",
    "the sink writes; rollup reads; exporter lists; retain lists and deletes",
    "raw_days",
)
HELD = Layer(
    "held",
    ("late files that are held",),
    "late events that no figure counts, until a person decides",
    "user ids with every play",
    "nothing",
    "the raw events of the hour have ended",
    "as raw events",
    "held_days",
)
REJECTS = Layer(
    "rejects",
    _names(of.REJECTS),
    "why lines were not counted, for the producer of events",
    "lines as received, with user ids",
    "nothing; people who look for the cause",
    "none: the counts of rejects stay in the marker",
    "rollup writes; retain deletes",
    "rejects_days",
)
VIEWER_HOURS = Layer(
    "viewer_hour",
    _names(of.VIEWER_HOUR),
    "what each viewer played in an hour",
    "pseudonyms with times of play",
    "profile of the day, and its restatement",
    "the day is made from all of its hours, its objects are verified, and the day before has ended",
    "rollup writes; profile reads; retain deletes",
    "viewer_hour_days",
)
VIEWER_DAYS = Layer(
    "viewer_day",
    _names(
        of.VIEWER_DAY,
        of.SITTING_DAY,
        of.VIEWER_SEEN,
        of.VIEWER_PERIOD,
        of.SITTING_PERIOD,
        of.SHOW_VIEWER,
        of.LAUNCH_VIEWER,
    ),
    "what each viewer played in a day, a period and since a premiere, and since when a viewer is known",
    "pseudonyms by day; show_viewer has numbers instead of pseudonyms",
    f"audience of the day, week, month and quarter (up to {LONGEST_PERIOD_DAYS} days); weeks in which a show ended, "
    f"for {SEEN_AGAIN_DAYS} days before them; profile and launches of the next day; `marquee what-if` of the period",
    "every period that reads the day is over, made from it and verified, and its hours accept no late file any more",
    "profile writes and reads; what-if reads show_viewer; retain deletes",
    "viewer_day_days",
)
SCHEDULE_RAW = Layer(
    "schedule_raw",
    (PAYLOAD,),
    "the answers of the schedule service as served, for looking up",
    "",
    "nothing; people",
    "the tables of the day are verified",
    "schedule_fetch writes; retain deletes",
    "schedule_raw_days",
)
SUPERSEDED = Layer(
    "superseded",
    ("objects of superseded, failed and killed runs",),
    "reads that began before a run was replaced",
    "as the layer of the run",
    "nothing after a week",
    "no marker lists the object",
    "as the layer of the run; retain and gc delete",
    "superseded_days",
)
SCHEDULE = Layer(
    "schedule",
    _names(of.SHOWS, of.EPISODES, of.NETWORKS, of.COUNTRIES, of.GENRES),
    "which show an episode is of, its genres, its network, its runtime",
    "",
    "profile, mart_load: for every period",
    "",
    "schedule_fetch writes; profile and mart_load read",
)
VIEWERSHIP = Layer(
    "viewership",
    _names(of.VIEWERSHIP, of.EPISODE_DAY),
    "hours of play by episode, country and device",
    "a small cell can be the play of one person",
    "mart_load, profile",
    "",
    "rollup and profile write; mart_load and profile read",
)
AUDIENCE = Layer(
    "audience",
    _names(
        of.AUDIENCE,
        of.AUDIENCE_BASE,
        of.AUDIENCE_GENRE,
        of.DEPARTURE,
        of.SHOW_ORDER,
        of.OVERLAP,
        of.SEASON_STEP,
        of.SEASON_AUDIENCE,
        of.LAUNCH,
    ),
    "counts of viewers by show, country and period",
    "exact counts",
    "mart_load",
    "",
    "profile writes; mart_load reads",
)

ERASED = Layer(
    "erased",
    ("lists of erased viewers",),
    "keeps erased viewers out of everything that is made again",
    "pseudonyms of the people whose data were erased",
    "rollup, profile and audience, for every period",
    "",
    "who requests erasures writes; all stages read; gc notes what is gone",
)

LAYERS = (
    RAW,
    HELD,
    REJECTS,
    VIEWER_HOURS,
    VIEWER_DAYS,
    SUPERSEDED,
    SCHEDULE_RAW,
    SCHEDULE,
    VIEWERSHIP,
    AUDIENCE,
    ERASED,
)
"""All layers, the most personal first."""

_OF = {name: layer for layer in LAYERS for name in layer.data}


def layer_of(dataset: str) -> Layer:
    """Return the layer of a dataset; KeyError if it is in none."""
    return _OF[dataset]


def outputs_in(layer: Layer, outputs: Sequence[Output]) -> list[Output]:
    """Return the outputs of a run that are in a layer, in the order of keys."""
    return sorted((one for one in outputs if one.dataset in layer.data), key=lambda one: one.key)

"""All object keys of the lake.

    markers/<stage>/<period>/_SUCCESS      the manifest of the published run
    markers/<stage>/<period>/_FAILED       why the last run failed; the next success deletes it
    markers/<stage>/_PENDING               the periods with inputs and no success, as a run last listed them
    markers/<stage>/<period>/_BEGUN        the run that works on the period, or died at it; any other end deletes it
    markers/<stage>/_INDEX                 a cache of the stage's markers, which may be lost
    markers/rollup/_LOOKS                  when old days of raw events were last listed, also a cache
    markers/<stage>/_CLEAN                 runs that hold no erased viewer: see erasures.py; also a cache
    markers/<stage>/_ENDED                 what retention has ended of the stage's periods
    markers/rollup/_REKEY                  while `marquee rekey` brings the lake to a newer viewer key
    data/<stage>/<period>/run=<run id>/<dataset>[/bucket=<nnnn>].parquet
    erased/<request id>.json               viewers to erase; erased/<request id>.done once their data are gone
    report/<period>/review.html            the review of a period, and review.xlsx beside it; no stage reads them

Markers and data have separate prefixes, so planning lists and reads only markers, however large the data are.
"""

import re
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from marquee.calendar import Grain, Period
from marquee.storage.base import ObjectInfo, Store

SCHEDULE_FETCH = "schedule_fetch"
ROLLUP = "rollup"
PROFILE = "profile"
AUDIENCE = "audience"
MART_LOAD = "mart_load"
STAGES = (SCHEDULE_FETCH, ROLLUP, PROFILE, AUDIENCE, MART_LOAD)

GRAINS = {
    SCHEDULE_FETCH: (Grain.DAY,),
    ROLLUP: (Grain.HOUR,),
    PROFILE: (Grain.DAY,),
    AUDIENCE: (Grain.DAY, Grain.WEEK, Grain.MONTH, Grain.QUARTER),
}
"""The grains of each stage's periods. A folder with a period of another grain is not the stage's."""

LONGEST = 1024
"""Maximum length of a key, which is S3's."""

SUCCESS = "_SUCCESS"
FAILED = "_FAILED"
PENDING = "_PENDING"
INDEX = "_INDEX"
LOOKS = "_LOOKS"
CLEAN = "_CLEAN"
ENDED = "_ENDED"
BEGUN = "_BEGUN"
REKEY = "_REKEY"
REPLACED = "replaced.json"
"""Name, below the prefix of a day's run, of the marker that it has replaced, while the lake is rekeyed."""

ERASED = "erased/"
"""Prefix of the requests to erase viewers."""

_RUN_TIME = "%Y%m%dT%H%M%S%f"
_OF_PERIODS = frozenset({SUCCESS, FAILED, BEGUN})
"""Names of the objects of a period."""
_ERASURE = re.compile(r"erased/(?P<id>\d{8}T\d{12}-[0-9a-f]{8})\.json")
_RUN = re.compile(r"data/(?P<stage>[a-z_]+)/(?P<period>[^/]+)/run=(?P<run>[^/]+)/")


def new_run_id(now: datetime) -> str:
    """Return a name for a run that sorts by time and is unique: ``20260105T130211123456-9f86d081``."""
    return f"{now.astimezone(UTC).strftime(_RUN_TIME)}-{secrets.token_hex(4)}"


def run_started(run_id: str) -> datetime:
    """Return the start time of the run with this id."""
    return datetime.strptime(run_id.split("-", maxsplit=1)[0], _RUN_TIME).replace(tzinfo=UTC)


def success_key(stage: str, period: Period) -> str:
    """Return the key of a period's success marker."""
    return f"markers/{stage}/{period}/{SUCCESS}"


def failed_key(stage: str, period: Period) -> str:
    """Return the key of a period's failure marker."""
    return f"markers/{stage}/{period}/{FAILED}"


def begun_key(stage: str, period: Period) -> str:
    """Return the key of the object of a period's run that has begun."""
    return f"markers/{stage}/{period}/{BEGUN}"


def markers_prefix(stage: str) -> str:
    """Return the prefix of all markers of a stage."""
    return f"markers/{stage}/"


def pending_key(stage: str) -> str:
    """Return the key of the object that lists a stage's pending periods."""
    return f"markers/{stage}/{PENDING}"


def index_key(stage: str) -> str:
    """Return the key of the index of a stage's markers."""
    return f"markers/{stage}/{INDEX}"


def looks_key() -> str:
    """Return the key of the object with the last looks at old days of raw events."""
    return f"markers/{ROLLUP}/{LOOKS}"


def clean_key(stage: str) -> str:
    """Return the key of the object that lists runs of a stage without erased viewers."""
    return f"markers/{stage}/{CLEAN}"


def erasure_key(request_id: str) -> str:
    """Return the key of a request to erase viewers."""
    return f"{ERASED}{request_id}.json"


def erased_key(request_id: str) -> str:
    """Return the key of the note that the data of a request are gone."""
    return f"{ERASED}{request_id}.done"


def erasure_of(key: str) -> str | None:
    """Return the id of the request with a key; None for another key."""
    match = _ERASURE.fullmatch(key)
    return match["id"] if match else None


def ended_key(stage: str) -> str:
    """Return the key of the object that lists what retention has ended of a stage's periods."""
    return f"markers/{stage}/{ENDED}"


def rekey_key() -> str:
    """Return the key of the object that is there while the lake is brought to a newer viewer key."""
    return f"markers/{ROLLUP}/{REKEY}"


def report_key(period: Period, name: str) -> str:
    """Return the key of a file of a period's review."""
    return f"report/{period}/{name}"


def list_markers(stage: str, listed: Iterable[ObjectInfo]) -> Iterator[tuple[Period, str, ObjectInfo]]:
    """Yield (period, name, object) for each marker of a stage among objects, in their order.

    The name is ``_SUCCESS``, ``_FAILED`` or ``_BEGUN``.
    """
    prefix = markers_prefix(stage)
    for info in listed:
        if info.key.startswith(prefix):
            folder, _, name = info.key[len(prefix) :].partition("/")
            if name in _OF_PERIODS and (period := _period(stage, folder)):
                yield period, name, info


def list_periods(store: Store, stage: str, after: Period | None = None) -> Iterator[Period]:
    """Yield the periods that have data of a stage, published or not, in the order of names; only those after one.

    Names are listed as far as the caller reads.
    """
    folder, last = f"data/{stage}/", f"{after}/" if after else ""
    while names := store.names_after(folder, last):
        yield from (period for name in names if (period := _period(stage, name.rstrip("/"))))
        last = names[-1]


def run_prefix(stage: str, period: Period, run_id: str) -> str:
    """Return the prefix of a run; no other run writes there."""
    return f"data/{stage}/{period}/run={run_id}/"


def run_of(key: str) -> tuple[str, Period, str] | None:
    """Return (stage, period, run id) of a data object's key; None for another key."""
    match = _RUN.match(key)
    period = _period(match["stage"], match["period"]) if match else None
    return (match["stage"], period, match["run"]) if match and period else None


def name_in_run(key: str) -> str:
    """Return the name of a data object below its run's prefix."""
    return key.split("/", 4)[-1]


def bucket_file(dataset: str, bucket: int) -> str:
    """Return the name of one viewer bucket of a dataset, relative to the run's prefix."""
    return f"{dataset}/bucket={bucket:04}.parquet"


def table_file(dataset: str) -> str:
    """Return the name of a dataset that is one file, relative to the run's prefix."""
    return f"{dataset}.parquet"


def bucket_of(key: str) -> int:
    """Return the bucket number in a key."""
    return int(key.rsplit("bucket=", 1)[1].removesuffix(".parquet"))


def _period(stage: str, text: str) -> Period | None:
    """Return the period of a folder's name; None for other folders."""
    try:
        period = Period.parse(text)
    except ValueError:
        return None
    return period if period.grain in GRAINS.get(stage, Grain) else None

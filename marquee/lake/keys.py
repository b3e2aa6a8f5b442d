"""All object keys of the lake.

    markers/<stage>/<period>/_SUCCESS      the manifest of the published run
    markers/<stage>/<period>/_FAILED       why the last run failed; the next success deletes it
    data/<stage>/<period>/run=<run id>/<dataset>[/bucket=<nnnn>].parquet

Markers and data have separate prefixes, so planning lists and reads only markers, however large the data are.
"""

import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

from marquee.calendar import Period
from marquee.storage.base import ObjectInfo, Store

SCHEDULE_FETCH = "schedule_fetch"
ROLLUP = "rollup"
PROFILE = "profile"
AUDIENCE = "audience"
MART_LOAD = "mart_load"
STAGES = (SCHEDULE_FETCH, ROLLUP, PROFILE, AUDIENCE, MART_LOAD)

SUCCESS = "_SUCCESS"
FAILED = "_FAILED"

_RUN_TIME = "%Y%m%dT%H%M%S%f"
_MARKER = re.compile(rf"markers/[a-z_]+/(?P<period>[^/]+)/(?P<name>{SUCCESS}|{FAILED})")
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


def list_markers(store: Store, stage: str) -> Iterator[tuple[Period, str, ObjectInfo]]:
    """Yield (period, ``_SUCCESS`` or ``_FAILED``, object) for each marker of a stage, in the order of keys."""
    for info in store.list(f"markers/{stage}/"):
        match = _MARKER.fullmatch(info.key)
        if match and (period := _period(match["period"])):
            yield period, match["name"], info


def run_prefix(stage: str, period: Period, run_id: str) -> str:
    """Return the prefix of a run; no other run writes there."""
    return f"data/{stage}/{period}/run={run_id}/"


def run_of(key: str) -> tuple[str, Period, str] | None:
    """Return (stage, period, run id) of a data object's key; None for another key."""
    match = _RUN.match(key)
    period = _period(match["period"]) if match else None
    return (match["stage"], period, match["run"]) if match and period else None


def bucket_file(dataset: str, bucket: int) -> str:
    """Return the name of one viewer bucket of a dataset, relative to the run's prefix."""
    return f"{dataset}/bucket={bucket:04}.parquet"


def table_file(dataset: str) -> str:
    """Return the name of a dataset that is one file, relative to the run's prefix."""
    return f"{dataset}.parquet"


def bucket_of(key: str) -> int:
    """Return the bucket number in a key."""
    return int(key.rsplit("bucket=", 1)[1].removesuffix(".parquet"))


def _period(text: str) -> Period | None:
    """Return the period of a folder's name; None for other folders."""
    try:
        return Period.parse(text)
    except ValueError:
        return None

"""The pending hours of a stage: those that had inputs, but no success, when a run last listed them.

Only the rollup lists raw events. A run of it writes one object, ``markers/rollup/_PENDING``, before it makes its first
hour, so that a later stage knows of hours that no run has tried, such as those after a kill. At its end the run drops
the hours that it has made; the object of a lake without pending hours is deleted.
"""

import json
import logging
from collections.abc import Collection

from marquee.calendar import Period, hour
from marquee.lake import keys
from marquee.storage.base import ObjectNotFoundError, Store

log = logging.getLogger(__name__)


def read_pending(store: Store, stage: str) -> frozenset[Period] | None:
    """Return the pending hours of a stage; None, with a warning, if the object is damaged: the next run replaces it."""
    key = keys.pending_key(stage)
    try:
        return frozenset(map(hour, json.loads(store.get(key))["periods"]))
    except ObjectNotFoundError:
        return frozenset()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        log.warning("%s is not a list of hours: %s. The next run of %s writes it again", key, error, stage)
        return None


def write_pending(store: Store, stage: str, periods: Collection[Period]) -> None:
    """Replace the list of a stage's pending hours; delete it if there is none."""
    if not periods:
        store.delete(keys.pending_key(stage))
        return
    listed = {"stage": stage, "periods": [str(period) for period in sorted(periods)]}
    store.put(keys.pending_key(stage), json.dumps(listed, indent=1).encode())

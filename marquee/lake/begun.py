"""Runs that have begun, so that a run whose process died is known to the next one.

    markers/<stage>/<period>/_BEGUN        the run that works on the period, or died at it; any other end deletes it

A run writes the object before its work and deletes it when it ends: with a result, with an error, or by a signal to
stop. So an object that a later run finds is of a run whose process died (SIGSEGV, out of memory, SIGKILL), unless that
run still works elsewhere. To count such a run as dead does little harm: it takes two deaths to put a period off, any
success deletes the object, and a period that is put off is tried last, not never.
"""

import dataclasses
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from marquee import stopping
from marquee.calendar import Period
from marquee.errors import MarqueeError
from marquee.lake import keys
from marquee.lake.manifest import Failure, Marker
from marquee.storage.base import ObjectNotFoundError, Store

log = logging.getLogger(__name__)

MOST_DEATHS = 2
"""A period with so many deaths is put off."""


@dataclass(frozen=True)
class Begun:
    """A run that has begun.

    Attributes:
        stage: its stage.
        period: its period.
        run_id: the run.
        deaths: how many runs of the period died before it, without a success or an error in between.
        invocation: the command that started the run. It may start several processes, if they die.
        begun_at: when it began.
        runs: whether the run has not ended, as far as this object knows.
    """

    stage: str
    period: str
    run_id: str
    deaths: int
    invocation: str
    begun_at: str
    runs: bool = True

    @property
    def died(self) -> int:
        """How many runs of the period died, including this one."""
        return self.deaths + self.runs

    def settled_by(self, marker: Marker | None, failure: Failure | None) -> bool:
        """Return whether this run, or a later one, ended with one of these markers, and was killed after that."""
        return bool((marker and marker.run_id >= self.run_id) or (failure and failure.run_id == self.run_id))

    def to_json(self) -> bytes:
        """Return the bytes of the object."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes, key: str) -> "Begun | None":
        """Parse the object of a key; None if it is damaged, since nothing but the order of periods depends on it."""
        from pydantic import TypeAdapter  # noqa: PLC0415 - rarely needed

        try:
            begun = TypeAdapter(cls).validate_json(data, strict=True)
            aware = datetime.fromisoformat(begun.begun_at).tzinfo is not None
            return begun if aware and keys.begun_key(begun.stage, Period.parse(begun.period)) == key else None
        except ValueError:
            return None


def read_begun(store: Store, stage: str, period: Period) -> Begun | None:
    """Return the run of a period that has begun and not ended; None if there is none."""
    key = keys.begun_key(stage, period)
    try:
        return Begun.from_json(store.get(key), key)
    except ObjectNotFoundError:
        return None


def write_begun(store: Store, begun: Begun) -> None:
    """Write the object of a run."""
    # A power loss is nobody's fault, so nothing waits for the disk.
    store.put(keys.begun_key(begun.stage, Period.parse(begun.period)), begun.to_json(), durable=False)


@contextmanager
def ended_at_last(store: Store, begun: Begun, before: Begun | None) -> Iterator[None]:
    """Delete the object of a run after the body, which writes it. A signal to stop restores what was there before."""
    ended = False

    def end() -> None:
        if before is None or ended:
            _delete(store, begun)
        else:
            write_begun(store, dataclasses.replace(before, deaths=before.died, runs=False))

    try:
        with stopping.at_last(end):
            yield
            ended = True
            try:
                end()
            except MarqueeError as error:  # the run has ended all the same, as its marker shows
                log.warning("%s", error)
    except BaseException:
        with suppress(MarqueeError):
            end()
        raise


def _delete(store: Store, begun: Begun) -> None:
    store.delete(keys.begun_key(begun.stage, Period.parse(begun.period)))

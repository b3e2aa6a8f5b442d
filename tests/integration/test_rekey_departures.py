"""A week whose departures were counted is brought to a newer key with its 62 days, and counts them as from raw."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from jobs.rekey.lake import run as rekey
from jobs.rekey.settings import RekeySettings
from jobs.rollup.settings import RollupOptions
from jobs.rollup.viewer import fingerprint, viewer_of_bytes
from marquee.calendar import EVER
from marquee.lake import keys
from marquee.lake.datasets import DEPARTURE
from marquee.lake.markers import Markers
from marquee.storage.local import LocalStore
from tests.integration.test_departures import LAST_WEEK, SEEN, make_lake, publish_day, run
from tests.oracle.departures import Watched
from tests.oracle.lake import digests, read_rows

OLD, NEW = b"the key of the days", b"a newer key of the days"


def newer(viewer: int) -> int:
    """Return the pseudonym under both keys of a viewer under the old one."""
    return viewer_of_bytes((NEW,), viewer.to_bytes(8))


@pytest.fixture
def lake(tmp_path: Path) -> LocalStore:
    """A lake under the old key, whose last week has counted that 15 of 60 sole viewers were seen again."""
    made = LocalStore(tmp_path / "lake", durable=False)
    make_lake(made, SEEN, fingerprint((OLD,)))
    assert [row["seen_again"] for row in run(made)] == [15]
    return made


def bring_to_both_keys(lake: LocalStore) -> int:
    """Run rekey; return the number of periods that it made."""
    listed = SecretStr(f'["{NEW.decode()}", "{OLD.decode()}"]')
    settings = RekeySettings(lake=lake.url, raw="file:///nothing", rollup=RollupOptions(viewer_key=listed))
    done = rekey(settings, Markers(lake), EVER, force=False, advance=lambda *_: None)
    assert done.exit_code == 0
    return done.changed


def generations(lake: LocalStore) -> dict[str, Any]:
    """Return the generations of the published audiences."""
    return {str(period): one.generation for period, one in Markers(lake).of(keys.AUDIENCE).items()}


def test_departures_are_as_under_both_keys_from_the_start(lake: LocalStore, tmp_path: Path) -> None:
    """The week has the bytes of one that was made under both keys; it is current, and a late play counts again."""
    expected = LocalStore(tmp_path / "expected", durable=False)
    make_lake(expected, SEEN, fingerprint((NEW, OLD)), newer)
    rows = run(expected)
    assert bring_to_both_keys(lake) == 73  # 63 days; of the last week seven days, the week, its month and quarter
    assert digests(lake, keys.AUDIENCE) == digests(expected, keys.AUDIENCE)
    made = generations(lake)
    assert run(lake) == rows
    assert generations(lake) == made
    shutil.rmtree(tmp_path / "expected")
    late = [*(one for one in SEEN if one.day == 40), Watched(40, 60, 30, "KR", 60)]
    of_day = [one._replace(viewer=newer(one.viewer)) for one in late]
    publish_day(lake, of_day, 40, 24, fingerprint((NEW, OLD)))
    assert [row["seen_again"] for row in run(lake)] == [16]
    assert generations(lake)["2026-W10"] == made["2026-W10"] + 1


def test_stale_departures_stay_stale(lake: LocalStore) -> None:
    """A day of the windows that was restated before, after the week, makes the week again after the rekey alone."""
    publish_day(
        lake, [*(one for one in SEEN if one.day == 40), Watched(40, 60, 30, "KR", 60)], 40, 24, fingerprint((OLD,))
    )
    bring_to_both_keys(lake)
    (row,) = read_rows(Markers(lake), keys.AUDIENCE, str(LAST_WEEK), DEPARTURE)
    assert row["seen_again"] == 15
    assert [row["seen_again"] for row in run(lake)] == [16]

"""``marquee erase``: adds a request to erase viewers to the lake, or shows how far the requests are.

User ids are hashed at once with the viewer key, and neither stored nor logged. The runs that follow do the rest.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from marquee.errors import BadInputError, ConfigError
from marquee.lake import keys
from marquee.lake.erasures import Request, write_request
from marquee.lake.markers import Markers
from marquee.lake.rekeyed import VIEWER_KEY, check_not_rekeying
from marquee.report.console import say, say_command
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names
from marquee.settings.sections import StageSettings
from marquee.storage.base import Store

if TYPE_CHECKING:
    from jobs.rollup.viewer import Keys

MOST_USERS = 1_000_000
"""Users of a request; more take several."""
_PSEUDONYM = re.compile("[0-9a-f]{16}")


def run(given: argparse.Namespace) -> int:
    """Add a request, or show the requests."""
    check_names()
    if given.what == "status":
        from jobs.cli.erase_status import show  # noqa: PLC0415 - it reads every marker

        return show(given)
    if given.users is None and given.viewers is None:
        given.parser.error("one of the arguments --users --viewers is required, or status")
    markers = Markers(load_settings(StageSettings).store)
    check_not_rekeying(markers)  # its requests are the last that it brings to the newer key
    request, store = _of_users(given.users) if given.users else _of_viewers(given.viewers, markers)
    request_id = keys.new_run_id(datetime.now(UTC))
    write_request(store, request, request_id)
    say(f"Request {request_id}: {len(request.viewers):,} viewers, {len(request.lines):,} rejected lines.")
    say("The next runs of all stages write the lake and the mart again without them. Then:")
    say_command("  marquee gc")
    say_command("  marquee erase status")
    return 0


def _of_viewers(file: Path, markers: Markers) -> tuple[Request, Store]:
    lines = list(_lines(file))
    for number, one in lines:
        if not _PSEUDONYM.fullmatch(one.strip().lower()):
            message = f"{file}:{number}: expected a pseudonym: 16 hexadecimal digits. Nothing was requested"
            raise BadInputError(message)
    of_keys = {str(one.parameters.get(VIEWER_KEY)) for one in markers.of(keys.ROLLUP).values()}
    if len(of_keys) > 1:
        message = "The hours of this lake have several viewer keys, so nobody knows whose these pseudonyms are"
        raise ConfigError(message)
    viewers = tuple(int(one.strip(), 16) for _, one in lines)
    return Request(viewers, viewer_key="".join(of_keys)), markers.store


def _of_users(file: Path) -> tuple[Request, Store]:
    from jobs.rollup.settings import RollupSettings  # noqa: PLC0415 - slow
    from jobs.rollup.viewer import fingerprint, newer_keys, viewer_of  # noqa: PLC0415

    settings = load_settings(RollupSettings)
    viewer_keys, markers = settings.rollup.viewer_keys, Markers(settings.store)
    own = fingerprint(viewer_keys)
    other = next((one for one in markers.of(keys.ROLLUP).values() if one.parameters.get(VIEWER_KEY) != own), None)
    if other is not None and newer_keys(viewer_keys, str(other.parameters.get(VIEWER_KEY))):
        message = (
            f"rollup {other.period} has viewers under the older keys of MARQUEE_ROLLUP__VIEWER_KEY alone. Nothing was "
            "requested. Run marquee rekey first"
        )
        raise ConfigError(message)
    if other is not None:
        message = (
            f"MARQUEE_ROLLUP__VIEWER_KEY differs from the key of rollup {other.period}: its viewers cannot be found. "
            "Set the key of the lake. Nothing was requested"
        )
        raise ConfigError(message)
    users = sorted({one for _, one in _lines(file)})
    viewers = tuple(viewer_of(viewer_keys, one) for one in users)
    return Request(viewers, tuple(_lines_with(markers, viewer_keys, users)), own), settings.store


def _lines_with(markers: Markers, viewer_keys: "Keys", users: Sequence[str]) -> Iterator[int]:
    """Yield the pseudonyms of the lines among the rejects that contain a user id: only now are the ids at hand."""
    from jobs.rollup.erasing import line_of, lines_with  # noqa: PLC0415 - reads with pyarrow
    from marquee.lake.datasets import REJECTS  # noqa: PLC0415
    from marquee.lake.files import read_output  # noqa: PLC0415
    from marquee.storage.base import in_parallel  # noqa: PLC0415

    store = markers.store
    outputs = [one for marker in markers.of(keys.ROLLUP).values() if marker.rows(REJECTS) for one in marker.of(REJECTS)]
    for rejects in in_parallel(store, lambda one: read_output(store, one, ["raw"]), outputs):
        yield from (line_of(viewer_keys, one) for one in lines_with(users, rejects["raw"].to_pylist()))


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file that are not empty, with their numbers; messages never show a line."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        message = f"Cannot read {file}: {error.strerror}"
        raise ConfigError(message) from None
    except UnicodeDecodeError:
        message = f"{file} is not UTF-8. Nothing was requested"
        raise BadInputError(message) from None
    lines = [(number, one.removesuffix("\r")) for number, one in enumerate(text.split("\n"), start=1)]
    found = [(number, one) for number, one in lines if one]
    if not 0 < len(found) <= MOST_USERS:
        message = f"{file} has {len(found):,} lines, expected 1 to {MOST_USERS:,}. Nothing was requested"
        raise BadInputError(message)
    yield from found

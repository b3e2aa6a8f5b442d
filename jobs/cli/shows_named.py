"""Finds shows of the captured schedule by their names or ids, as a person types them."""

import difflib
import unicodedata
from collections.abc import Mapping, Sequence

from marquee.errors import ConfigError
from marquee.lake import keys
from marquee.lake.markers import Markers
from marquee.memo import remember

LABELS_KEPT = 2
SUGGESTED = 3
"""Maximum number of names that a message suggests."""


def labels_of(markers: Markers) -> dict[int, str]:
    """Return the labels of all captured shows by id; they are cached until the schedule is captured again."""

    def read() -> dict[str, str]:
        from marquee.lake.captured_schedule import latest_labels  # noqa: PLC0415 - the cache mostly answers

        return {str(show_id): label for show_id, label in latest_labels(markers).items()}

    captures = sorted(marker.run_id for marker in markers.of(keys.SCHEDULE_FETCH).values())
    found: Mapping[str, str] = remember("show-labels", " ".join(captures), read, kept=LABELS_KEPT)
    return {int(show_id): label for show_id, label in found.items()}


def find_shows(wanted: Sequence[str], labels: Mapping[int, str]) -> dict[int, str]:
    """Return the labels of the shows by id, in the order asked for. A text is a show's name, or its id after a ``#``.

    ConfigError if there is no such show (it suggests names), or if several have the name.
    """
    by_name: dict[str, list[int]] = {}
    for show_id, label in labels.items():
        by_name.setdefault(_folded(label.removesuffix(f" (#{show_id})")), []).append(show_id)
    found = [_find(text, by_name, labels) for text in wanted]
    return {show_id: labels[show_id] for show_id in found}


def _folded(text: str) -> str:
    """Return a text without regard to case, and to whether an accent is a character of its own."""
    return unicodedata.normalize("NFC", text.strip()).casefold()


def _find(text: str, by_name: Mapping[str, Sequence[int]], labels: Mapping[int, str]) -> int:
    wanted = _folded(text)
    named = by_name.get(wanted, [])
    if len(named) == 1:
        return named[0]
    if len(named) > 1:
        ids = ", ".join(f"'#{show_id}'" for show_id in named)
        message = f"{len(named)} shows have the name {text!r}. Use one of the ids {ids}"
        raise ConfigError(message)
    number = wanted.rpartition("(#")[2].removesuffix(")").removeprefix("#")
    label = labels.get(int(number)) if number.isascii() and number.isdigit() else None
    if label is not None and wanted in {number, f"#{number}", _folded(label)}:
        return int(number)
    near = difflib.get_close_matches(wanted, by_name, SUGGESTED, 0.5)
    near += [name for name in by_name if wanted and wanted in name and name not in near][: SUGGESTED - len(near)]
    hint = ", ".join(repr(labels[by_name[name][0]]) for name in near)
    message = f"No captured schedule has a show {text!r}. " + (
        f"Did you mean {hint}?" if near else "Use its name as `marquee ask top-shows` shows it, or its id"
    )
    raise ConfigError(message)

"""Alert rules with shorter waiting times, for tests in which faults raise alerts."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

SPEED = 360
"""An alert that waits an hour waits ten seconds. A greater factor is too fast: the exporter refreshes at most every
second, and MarqueeExporterStuck, which waits 35 minutes, must not fire meanwhile.
"""


def sped_up(rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rules with shorter times: ``for``, ranges, offsets, and what is subtracted from ``time()``."""

    def shorter(match: re.Match[str]) -> str:
        units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
        return f"{int(match[1]) * units[match[2]] * 1000 // SPEED}ms"

    def waits(text: str) -> str:
        text = re.sub(r"(?<![\w.])(\d+)([smhd])(?!\w)", shorter, text)
        return re.sub(r"time\(\) - (\d+)", lambda match: f"time() - {int(match[1]) / SPEED}", text)

    return [dict(rule) | {key: waits(rule[key]) for key in ("for", "expr") if key in rule} for rule in rules]

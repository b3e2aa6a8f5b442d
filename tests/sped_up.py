"""Rules whose waiting goes by faster, for tests that see what breaks lead to an alert."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

SPEED = 360
"""An hour that an alert waits takes ten seconds. Not less: the exporter may not look more often than every second, and
MarqueeExporterStuck, which has to stay silent while it does, waits 35 minutes."""


def sped_up(rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rules whose times to wait go by faster: ``for``, ranges, offsets, and what is taken off ``time()``."""

    def shorter(match: re.Match[str]) -> str:
        units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
        return f"{int(match[1]) * units[match[2]] * 1000 // SPEED}ms"

    def waits(text: str) -> str:
        text = re.sub(r"(?<![\w.])(\d+)([smhd])(?!\w)", shorter, text)
        return re.sub(r"time\(\) - (\d+)", lambda match: f"time() - {int(match[1]) / SPEED}", text)

    return [dict(rule) | {key: waits(rule[key]) for key in ("for", "expr") if key in rule} for rule in rules]

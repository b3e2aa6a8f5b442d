"""Whether this process measures itself. If not, it does not load the library of metrics, a tenth of a start."""

import sys
from types import ModuleType


def instruments() -> ModuleType | None:
    """Return the module of the instruments if something in this process publishes or reads them; otherwise None."""
    return sys.modules.get("marquee.telemetry.instruments")

"""Options of the command line that set settings."""

import argparse


def mart_given(given: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Return the settings of the mart from the command line's options."""
    found = {"url": getattr(given, "mart", None), "period": getattr(given, "mart_period", None)}
    return {"mart": known} if (known := {name: text for name, text in found.items() if text is not None}) else {}

"""Settings that options of the command line stand for."""

import argparse


def mart_given(given: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Return the settings of the mart that the command line gives."""
    found = {"url": getattr(given, "mart", None), "period": getattr(given, "mart_period", None)}
    return {"mart": known} if (known := {name: text for name, text in found.items() if text is not None}) else {}

"""Marquee: from play events and a programme schedule to audience answers."""

__version__ = "0.1.0"

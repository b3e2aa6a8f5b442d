"""Brings a lake to a newer viewer key: ``marquee rekey``."""

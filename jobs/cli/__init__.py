"""The command `marquee`."""

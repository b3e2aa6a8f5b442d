"""The command line ``marquee``."""

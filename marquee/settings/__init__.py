"""Settings: their sections, how they are loaded and checked, and how they are listed."""

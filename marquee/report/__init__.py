"""Output for people: tables in a terminal, and HTML pages."""

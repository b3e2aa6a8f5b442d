"""The mart in a DuckDB file."""

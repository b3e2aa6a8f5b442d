"""Settings: sections, loading, checking and listing."""

"""The mart as loader and readers see it: connection, schema, load status and questions."""

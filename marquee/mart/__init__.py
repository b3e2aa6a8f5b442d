"""The mart: connections, schema, load status and questions."""

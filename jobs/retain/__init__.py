"""The job retain: ends each layer of data when it is no longer needed."""

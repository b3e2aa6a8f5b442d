"""The exporter: publishes the state of the data to Prometheus."""

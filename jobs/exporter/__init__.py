"""The exporter: tells Prometheus where every period of every stage stands."""

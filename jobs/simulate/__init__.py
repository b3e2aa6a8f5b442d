"""A simulated streaming service: a programme schedule over HTTP, and play events with known (planted) answers."""

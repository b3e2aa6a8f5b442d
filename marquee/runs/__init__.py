"""The life of a run, the status of periods, and a stage as a command."""

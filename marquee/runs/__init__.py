"""Running a stage, the status of its periods, and its command line."""

"""schedule_fetch: the programme schedule, captured day by day from a TVmaze-like service."""

"""schedule_fetch: captures the programme schedule, day by day, from a service with TVmaze's API."""

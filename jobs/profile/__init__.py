"""profile: aggregates viewer hours to days by viewer, and to the audience of days, weeks, months and quarters."""

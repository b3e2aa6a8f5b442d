"""rollup: aggregates an hour of raw play events to viewership and viewer hours."""

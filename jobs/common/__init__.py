"""What the stages share: calendar, store, lake, commit, stage, engine, settings, logs."""

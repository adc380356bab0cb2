"""Models on disk: known by name, fetched, verified."""

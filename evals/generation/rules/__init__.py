"""Rules that a generated question must pass."""

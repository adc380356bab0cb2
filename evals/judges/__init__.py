"""Judges: metrics, claims, evidence, scorers, and what is known of each judge."""

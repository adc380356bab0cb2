"""Criteria of a project's own: what a judge is asked in the project's words, and checks without a model."""

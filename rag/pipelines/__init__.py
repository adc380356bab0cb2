"""Pipelines: the bundled ones, and adapters of others."""

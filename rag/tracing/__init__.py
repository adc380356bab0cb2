"""Tracing: spans, their attributes, OpenInference's names."""

"""Answers that are there already: what a service said, from its log."""

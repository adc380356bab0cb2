"""Weights & Biases: runs written to it, artifacts read from it."""

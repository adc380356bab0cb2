"""Retrieval: how good a ranked list of passages is, by where the sources of its question stand."""

"""Evaluations made on a Ray cluster: a pool of actors, each with pipelines and a judge of its own."""

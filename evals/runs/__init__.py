"""Runs as they are kept: evaluations, the run folder, baselines as files, traces, masking."""

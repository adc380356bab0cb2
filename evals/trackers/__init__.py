"""Trackers: where a run can be watched."""

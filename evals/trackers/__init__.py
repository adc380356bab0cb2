"""Trackers: where a run can be watched; they read its records in processes of their own."""

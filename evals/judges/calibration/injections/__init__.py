"""Injections that are put to a judge, and which of its verdicts they turn."""

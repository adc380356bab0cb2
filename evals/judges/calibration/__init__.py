"""Calibration of judges: labels, fits, judge cards, corrections, injections."""

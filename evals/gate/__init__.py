"""What may be concluded from a run: conditions, baseline, early stop, decision."""

"""Documents to questions: passages, one item a call, filters, and a run that goes on where it was stopped."""

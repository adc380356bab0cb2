"""`rag-evals questions`: question files checked, reviewed, audited, converted."""

"""BEIR folders and their judgements of relevance."""

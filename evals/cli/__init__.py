"""The command `rag-evals`."""

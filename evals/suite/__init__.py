"""The eval suite: `pytest evals` runs it."""

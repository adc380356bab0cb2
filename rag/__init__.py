"""The system under test: documents, models, retrieval and answers. Knows nothing of evals or pytest."""

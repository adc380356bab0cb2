"""`rag-evals answers`: logs of answers made of other tools' files, and questions made of what failed."""

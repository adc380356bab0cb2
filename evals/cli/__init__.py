"""The command `rag-evals`, a module a command; `main` has the table of them."""

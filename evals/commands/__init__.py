"""The commands of `rag-evals`, one file each: `add_to` declares its options and says what runs."""

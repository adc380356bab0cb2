"""Ways of finding the chunks for a question."""

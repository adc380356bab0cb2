"""What the rules make of texts: sentences, words, stock phrases."""

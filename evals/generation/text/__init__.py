"""Documents as generation reads them: lines, passages, sentences, words."""

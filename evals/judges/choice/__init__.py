"""The choice judge: a language model that is asked yes or no, and read from its probabilities."""

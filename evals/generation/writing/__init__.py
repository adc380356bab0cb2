"""Items written by a language model, and its replies checked."""

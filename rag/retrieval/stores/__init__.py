"""Where an index keeps its chunks and their vectors."""

"""Where the sources of questions stand in the documents, and whether they still do."""

"""Questions generated from documents."""

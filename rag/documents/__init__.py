"""Documents: files and folders read as text."""

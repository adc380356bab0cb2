"""The ground of the harness: errors, the words of messages, files written whole, intervals."""

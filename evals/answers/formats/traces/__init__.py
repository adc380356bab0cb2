"""Traces of other tools: spans of any of them, and the logged answer that they come to."""

"""Pipelines made with other frameworks; none of them is imported before one of theirs is asked."""

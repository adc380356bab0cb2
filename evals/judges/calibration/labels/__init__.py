"""Labelled answers: files of one's own and public sets."""

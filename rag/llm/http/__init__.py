"""Requests to a server: connections, turns, tries, limits, and trouble in words."""

"""Sessions on a cluster: what the controller tells actors, and the session of pytest in each."""

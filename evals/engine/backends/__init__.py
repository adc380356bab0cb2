"""Where evaluations are made: here, or on a cluster."""

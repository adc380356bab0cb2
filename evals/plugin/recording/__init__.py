"""What tests report: recorded, and told at the end of the session."""

"""The processes that models run in: one host a session, under it a process a model, shared by its clients."""

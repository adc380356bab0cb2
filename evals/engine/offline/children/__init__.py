"""On the path of the processes of an offline session, and so with nothing else in it."""

"""The sparsifier: the only stateful object."""

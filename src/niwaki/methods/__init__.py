"""One published method per file, composition only."""

"""Model to groups."""

"""Files: pickle-free, atomic."""

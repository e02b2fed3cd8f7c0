"""One idea per file: how much each unit matters."""

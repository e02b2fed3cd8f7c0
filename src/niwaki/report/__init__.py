"""Pages and tables that tell the truth."""

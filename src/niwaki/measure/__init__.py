"""Costs, measured or counted."""

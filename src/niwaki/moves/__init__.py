"""Schedules, timelines and the moves they play."""

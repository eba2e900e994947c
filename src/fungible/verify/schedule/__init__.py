"""Schedules and what they cover."""

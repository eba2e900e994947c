"""Almanac, the quick version."""

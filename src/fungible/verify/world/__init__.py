"""Worlds: grounds, lanes, slots, and one execution after the other."""

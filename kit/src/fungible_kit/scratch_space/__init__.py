"""Scratch: a folder that lives as long as one transaction."""

"""Backing services that an app names by URL: how they are opened, how long is waited, and when not to ask at all."""

"""The API of a running formation, over a Unix socket of this user, and its client."""

SOCKET = "control"
"""The name of the socket in the app's run folder."""

"""Execute an app as stateless, share-nothing processes, and verify that it is one."""

__version__ = "0.1.0.dev0"

"""A fork server for Python apps: import once under the app's own interpreter, then fork a process per slot.

`agent/` runs inside the app's interpreter: plain standard library, Python 3.9 and later, loaded by path.
"""

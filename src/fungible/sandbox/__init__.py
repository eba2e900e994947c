"""Spawn a process share-nothing: namespaces, overlay, Landlock, init, death with its parent.

Plain standard library, Python 3.9 and later, no import from the rest of the house: the launcher and the fork
server run under an app's own interpreter, which loads this folder by path.
"""

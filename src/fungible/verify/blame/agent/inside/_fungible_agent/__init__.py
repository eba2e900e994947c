"""Inside the app: answers the verifier's questions about memory, lines and files.

Standard library alone, Python 3.9 or later. Never runs code of the app while it looks: no `getattr`, `isinstance`,
`hash`, `==` or `repr` on objects that are not of a built-in type.
"""

from __future__ import annotations


def start(socket: str, root: str, with_lines: bool, with_chance: str, with_hashes: str) -> None:
    """Begin: note the app's folder, hear of files, and connect to `socket`. `with_chance`: the arguments of
    `chance.begin` as JSON, or nothing; `with_hashes`: those of `hashes.begin`."""
    import contextvars
    import json

    from . import chance, files, hashes, lines, link, places

    contextvars.copy_context()  # the main thread's context then exists before the app first sets a variable in it
    places.begin(root)
    files.inherited.update(FUNGIBLE_AGENT=socket, FUNGIBLE_AGENT_ROOT=root, PYTHONPATH=places.FOLDER)
    if with_lines:
        files.inherited["FUNGIBLE_AGENT_LINES"] = "1"
    if with_chance:
        files.inherited["FUNGIBLE_AGENT_CHANCE"] = with_chance
    if with_hashes:
        files.inherited["FUNGIBLE_AGENT_HASHES"] = with_hashes
    files.begin()
    if with_chance:
        chance.begin(*json.loads(with_chance))
    if with_hashes:
        hashes.begin(json.loads(with_hashes))
    if with_lines:
        lines.begin()
    link.begin(socket)

"""What the agent is told, as plain data that crosses as JSON."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from typing import Any, TypeVar

_T = TypeVar("_T")
_MESSAGE_AT_MOST = 65536


@dataclass(frozen=True)
class Boot:
    """The import. `spec` is the sandbox's, as data; the rest is the callable's (see AppCallable). With `packages`
    only these modules are loaded, and every slot imports the app itself."""

    spec: dict[str, Any]
    kind: str
    module: str
    attribute: str
    factory: bool
    finder: str
    path: list[str]
    chdir: str | None
    argv: list[str]
    only_at_import: list[str]
    packages: list[str] | None = None


@dataclass(frozen=True)
class Newborn:
    """One slot. `own` is the import's private folder, which stays visible as an alias of the slot's; `alias` is
    another path at which the app's folder is to be seen. `fresh` says that no slot before it had the same disk."""

    id: int
    spec: dict[str, Any]
    own: str
    alias: str | None
    fresh: bool


def encode(order: Any) -> bytes:
    """The order as UTF-8 JSON."""
    return json.dumps(vars(order)).encode("utf-8", "surrogateescape")


def decode(kind: type[_T], descriptor: int) -> _T:
    """Read an order from a file; closes it."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return kind(**json.loads(file.read().decode("utf-8", "surrogateescape")))


def tell(channel: socket.socket, kind: str, *descriptors: int, **data: Any) -> None:
    """Send one message, with descriptors; a listener that is gone is noticed by reading, not here."""
    message = json.dumps({"kind": kind, **data}).encode("utf-8", "surrogateescape")
    try:
        if descriptors:
            socket.send_fds(channel, [message], list(descriptors))
        else:
            channel.send(message)
    except OSError:
        return


def hear(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Receive one message and its descriptors; an empty one at the end."""
    data, descriptors, _, _ = socket.recv_fds(channel, _MESSAGE_AT_MOST, 8)
    return (json.loads(data.decode("utf-8", "surrogateescape")) if data else {}), list(descriptors)

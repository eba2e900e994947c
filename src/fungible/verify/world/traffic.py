"""What the app's processes tried to reach, in all worlds together, as the report tells it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fungible.runtime.events import Event

_MOST = 20
_MADE_UP = re.compile(r"(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}")
"""An id in a name, which is another one in each world."""
_LISTENING = "0A"  # TCP_LISTEN (Linux UAPI, tcp_states.h)
_MEND = "allow what is harmless in verify.outbound"


class Traffic:
    """Notes of connections. `others` are loopback ports at which servers listened before the experiment began."""

    def __init__(self, others: frozenset[int], expected: frozenset[int] = frozenset()) -> None:
        self._others = others
        self._expected = expected
        self._refused: dict[str, str] = {}
        self._alike: dict[str, set[str]] = {}
        """A name -> those that differ from it in an id only."""
        self._shared: dict[str, None] = {}

    def expect(self, entries: tuple[str, ...]) -> None:
        """Connections to these (see `sandbox.outbound.Policy`) are wanted, and not worth a word."""
        ports = (entry.rpartition(":")[2] for entry in entries if not entry.startswith("/"))
        self._expected |= {int(port) for port in ports if port.isdigit()}

    def heard(self, event: Event) -> None:
        """Take note of a process's event, if it is about a connection."""
        if event.kind == "process.outbound":
            self.note(event.data)

    def note(self, data: Mapping[str, Any]) -> None:
        """Take note of the launcher's message."""
        to, port = str(data["to"]), int(data["port"])
        if not data["allowed"]:
            like = next((each for each in self._refused if _form(each) == _form(to)), to)
            if like != to:
                self._alike.setdefault(like, set()).add(to)
            elif len(self._refused) < _MOST:
                looked_up = port == 53 and not re.search(r":\d+\Z", to)
                self._refused.setdefault(to, "look up" if looked_up else "ask" if port == 53 else "reach")
        elif data["loopback"] and port in self._others and port not in self._expected and len(self._shared) < _MOST:
            self._shared.setdefault(to)

    def warnings(self) -> tuple[str, ...]:
        """Sentences for the report."""
        named = "look up" in self._refused.values()  # then it is known what name servers were asked for
        said = [
            f"tried to {'ask for a name at' if what == 'ask' else what} {to}{self._more(to)} (refused)"
            for to, what in self._refused.items()
            if not (named and what == "ask")
        ]
        if said:
            said[-1] += f"; {_MEND}"
        if self._shared:
            shared = ", ".join(self._shared)
            said.append(f"reached {shared}: a server that all worlds share, whose state is not put back between them")
        return tuple(said)

    def _more(self, to: str) -> str:
        return f" and {len(self._alike[to])} like it" if to in self._alike else ""


def _form(to: str) -> str:
    return _MADE_UP.sub("…", to)


def listening_ports(proc: Path = Path("/proc/net")) -> frozenset[int]:
    """The TCP ports of this machine at which somebody listens now (proc(5), /proc/net/tcp)."""
    found: set[int] = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 3 and fields[3] == _LISTENING:
                found.add(int(fields[1].rpartition(":")[2], 16))
    return frozenset(found)

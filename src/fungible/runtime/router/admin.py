"""HAProxy's runtime API over its Unix socket (management guide 2.8, 9.3)."""

from __future__ import annotations

import asyncio
import csv
import io
from dataclasses import dataclass

ANSWER_WITHIN = 5.0
"""Seconds after which an HAProxy that does not answer counts as hung."""
LARGEST_REPLY = 16 * 1024 * 1024


class GoneError(Exception):
    """HAProxy did not answer: it died, or it hangs."""


@dataclass(frozen=True)
class Load:
    """What one server has at this moment: `sessions` under way, and how many of them are long `streams`."""

    sessions: int
    streams: int = 0

    @property
    def in_flight(self) -> int:
        """Requests under way that a drain waits for."""
        return max(0, self.sessions - self.streams)


async def ask(socket: str, *commands: str, timeout: float | None = None) -> str:
    """Send `commands` to the runtime API at the path `socket` and return all that it says.

    Raises `GoneError` if it does not answer within `timeout` seconds (default: `ANSWER_WITHIN`).
    """
    line = ";".join(commands) + "\n"
    writer = None
    try:
        async with asyncio.timeout(ANSWER_WITHIN if timeout is None else timeout):
            reader, writer = await asyncio.open_unix_connection(socket, limit=LARGEST_REPLY)
            writer.write(line.encode())
            await writer.drain()
            reply = await reader.read(LARGEST_REPLY)
            while chunk := await reader.read(LARGEST_REPLY):
                reply += chunk
    except (OSError, TimeoutError) as error:
        raise GoneError(str(error)) from error
    finally:
        if writer is not None:
            writer.close()
    if not reply:  # even a command that has nothing to say is answered with an empty line
        raise GoneError("closed without an answer")
    return reply.decode("utf-8", "replace")


def read_loads(stat: str, table: str) -> dict[str, Load]:
    """Server name -> load, from the answers to `show stat BACKEND 4 -1` and `show table STREAMS`."""
    streams: dict[str, int] = {}
    for line in table.splitlines():
        fields = dict(part.split("=", 1) for part in line.split() if "=" in part)
        if "key" in fields and "conn_cur" in fields:
            streams[fields["key"]] = int(fields["conn_cur"])
    # A row has some hundred columns, and there may be hundreds of rows.
    rows = csv.reader(io.StringIO(stat.lstrip("# \n")))
    head = next(rows, [])
    if "svname" not in head or "scur" not in head:
        return {}
    name, sessions = head.index("svname"), head.index("scur")
    loads = {}
    for row in rows:
        if len(row) > max(name, sessions) and row[name] and row[sessions].isdigit():
            loads[row[name]] = Load(int(row[sessions]), streams.get(row[name], 0))
    return loads


def read_queue(stat: str) -> int:
    """Requests that wait for any server, from the answer to `show stat BACKEND 6 -1`."""
    rows = csv.DictReader(io.StringIO(stat.lstrip("# \n")))
    return sum(int(row["qcur"]) for row in rows if (row.get("qcur") or "").isdigit())

"""Logs as an event stream: whole lines from every process, bounded, in order; nothing blocks a process for ever."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

LONGEST_LINE = 64 * 1024
"""Bytes; a longer line is passed on in pieces, marked as continued."""


@dataclass(frozen=True)
class Line:
    """A line of output without its end; `continued` says that the rest of it follows in the next."""

    text: str
    continued: bool = False


class LineSplitter:
    """Bytes in, whole lines out; what is left at the end of the stream is a line too."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._rest = b""

    def feed(self, data: bytes) -> list[Line]:
        """The lines that `data` completes."""
        *whole, rest = (self._rest + data).split(b"\n")
        lines: list[Line] = []
        for each in whole:
            pieces = self._pieces(each)
            lines += [Line(_text(piece), True) for piece in pieces[:-1]] + [Line(_text(pieces[-1].rstrip(b"\r")))]
        *full, rest = self._pieces(rest)
        lines += [Line(_text(piece), True) for piece in full]
        self._rest = rest
        return lines

    def finish(self) -> list[Line]:
        """What was left without an end of line."""
        rest, self._rest = self._rest, b""
        return [Line(_text(rest))] if rest else []

    def _pieces(self, line: bytes) -> list[bytes]:
        pieces = []
        while len(line) > self._longest:
            cut = _between_characters(line, self._longest)
            pieces.append(line[:cut])
            line = line[cut:]
        return [*pieces, line]


def _between_characters(data: bytes, at: int) -> int:
    """The nearest place up to `at` that does not divide a UTF-8 character (RFC 3629: at most four bytes)."""
    for cut in range(at, max(0, at - 4), -1):
        if data[cut] & 0xC0 != 0x80:
            return cut
    return at


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


class Pipe:
    """The read end of a process's output; `write_end` goes to the process and is then closed by `started`."""

    def __init__(self, tell: Callable[[Line], None]) -> None:
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self._splitter = LineSplitter()
        self._tell = tell
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._read_end, self._readable)

    def started(self) -> None:
        """The process has its copy of the write end: close ours, so that the end is seen."""
        os.close(self.write_end)

    def _readable(self) -> None:
        try:
            data = os.read(self._read_end, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        for line in self._splitter.feed(data) if data else self._splitter.finish():
            self._tell(line)
        if not data:
            self.close()

    def close(self) -> None:
        """Stop reading, whether or not the stream has ended."""
        if not self.ended.done():
            asyncio.get_running_loop().remove_reader(self._read_end)
            os.close(self._read_end)
            self.ended.set_result(None)

"""What processes say, read from a pipe; the end of it is kept."""

from __future__ import annotations

import asyncio
import os

_KEPT = 65536  # bytes


class Output:
    """A pipe whose `write_end` is handed to processes. To be made in a running event loop."""

    def __init__(self) -> None:
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self._kept = bytearray()
        self.ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._read_end, self._read)

    def given(self) -> None:
        """The processes have the write end: ours is closed, so that the last of them ends the pipe."""
        os.close(self.write_end)

    def text(self) -> str:
        """The last 64 KiB of it."""
        return self._kept.decode("utf-8", "replace")

    def close(self) -> None:
        """Read no more."""
        if not self.ended.is_set():
            self._read()
        if not self.ended.is_set():
            self._end()

    def _read(self) -> None:
        try:
            data = os.read(self._read_end, _KEPT)
        except BlockingIOError:
            return
        if not data:
            self._end()
            return
        self._kept += data
        del self._kept[:-_KEPT]

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._read_end)
        os.close(self._read_end)
        self.ended.set()

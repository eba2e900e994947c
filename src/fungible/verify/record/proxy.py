"""A recording reverse proxy: everything passes through as it comes, in both directions, and is noted."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Final

import h11

from fungible.verify.record.exchange import Exchange, Losses
from fungible.verify.record.passage import Outcome, Passage
from fungible.verify.record.side import CHUNK, Side
from fungible.verify.record.upstream import Upstream
from fungible.verify.workload.steps import MAX_STEPS

_ALL_BODIES: Final = 128 * 1024 * 1024
_ALL_ANSWERS: Final = 512 * 1024 * 1024


class Proxy:
    """Listens on a loopback port and passes requests on to `upstream`, each over a connection of its own.

    `exchanges` are the complete ones in the order in which they ended, `losses` what is not among them.
    """

    def __init__(self, upstream: Upstream) -> None:
        self.exchanges: list[Exchange] = []
        self.losses = Losses()
        self._upstream = upstream
        self._numbers = itertools.count()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._bodies, self._answers = _ALL_BODIES, _ALL_ANSWERS

    async def start(self, port: int = 0) -> str:
        """Listen on a loopback port, 0 for a free one; returns the URL. Raises OSError where it is taken."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port, limit=CHUNK)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Stop listening and cut what is under way; what was not complete is counted, not recorded."""
        if self._server is None:
            return
        self._server.close()
        while self._serving:
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        client = Side(h11.SERVER, (reader, writer))
        with contextlib.suppress(asyncio.CancelledError, OSError):  # only `stop` cancels
            try:
                await self._serve(client, next(self._numbers))
            except h11.RemoteProtocolError as error:
                await client.refuse(error.error_status_hint, "this is not HTTP/1.1")
            finally:
                client.close()

    async def _serve(self, client: Side, connection: int) -> None:
        """One request after the other, as long as the client's connection lives."""
        while True:
            head = await client.next()
            if not isinstance(head, h11.Request):
                return
            passage = Passage(client, head, connection)
            try:
                again = await passage.run(self._upstream.connect)
            finally:
                self._note(passage)
            if not again:
                return
            if client.http.our_state is not h11.DONE or client.http.their_state is not h11.DONE:
                await client.linger()
                return
            client.http.start_next_cycle()

    def _note(self, passage: Passage) -> None:
        losses = self.losses
        if passage.outcome is Outcome.COMPLETE:
            self._keep(passage.exchange())
        elif passage.outcome is Outcome.WEBSOCKET:
            losses.websockets += 1
        elif passage.outcome is Outcome.UNREACHABLE:
            losses.unreachable += 1
        elif passage.outcome is Outcome.UNFINISHED:
            losses.unfinished += 1

    def _keep(self, exchange: Exchange | None) -> None:
        if len(self.exchanges) >= MAX_STEPS:
            self.losses.beyond += 1
        elif exchange is None or len(exchange.body) > self._bodies:
            self.losses.large += 1
        else:
            self._bodies -= len(exchange.body)
            self._answers -= len(exchange.answer.body)
            self.exchanges.append(exchange if self._answers > 0 else exchange.without_answer())

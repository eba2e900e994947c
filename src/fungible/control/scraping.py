"""The port where Prometheus asks for metrics, where the settings want one: metrics, and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fungible.app.problem import Exit
from fungible.app.wording import shown
from fungible.control.guard import NOT_THIS_MACHINE, is_loopback, names_this_machine
from fungible.control.server import Answer, Request, Respond, Server, json_answer
from fungible.runtime.events import Event
from fungible.runtime.router.listener import listen, url_of
from fungible.runtime.start import Running

_PATH = "/metrics"
_PATIENCE = 10.0
"""Seconds in which whoever asks must take the answer."""


@contextlib.asynccontextmanager
async def scraped(running: Running, metrics: Respond) -> AsyncIterator[None]:
    """Answer `GET /metrics` by `metrics` at the port of the app's settings, if there is one; its URL is told on the
    bus. Raises Problem where the port cannot be had."""
    settings = running.app.settings
    if settings.metrics_port is None:
        yield
        return
    listener = listen(settings.metrics_host, settings.metrics_port, "metrics-")
    local, url = is_loopback(listener.getsockname()[0]), url_of(listener, "http") + _PATH

    async def respond(request: Request) -> Answer:
        # A page that a browser shows could reach a port of this machine under a name of its own (DNS rebinding).
        if local and not names_this_machine(request.headers.get("host", "")):
            return _refusal(403, NOT_THIS_MACHINE)
        if request.path != _PATH:
            return _refusal(404, f"{shown(request.path)}: there is no such path, only {_PATH}")
        if request.method != "GET":
            return _refusal(405, f"{_PATH}: use GET")
        return await metrics(request)

    async with Server(listener, respond, patience=_PATIENCE):
        running.bus.publish(Event("metrics.url", data={"url": url}))
        yield


def _refusal(status: int, text: str) -> Answer:
    return json_answer({"error": text, "exit": int(Exit.BAD_INPUT)}, status)

"""What a client does at an app, as far as the proof of a build has to know: who can read workloads hands it in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from fungible.app.model import App


@dataclass(frozen=True)
class Visit:
    """What a client was answered: `what` it asked, as people read it (`#2 GET /cart`), and the address of that.

    `status` is 0 where no answer came. `cookie` gives the Cookie header with which the same client asks for another
    address, None for none.
    """

    what: str
    method: str
    address: str
    status: int
    type: str
    text: str
    cookie: Callable[[str], str | None]


@dataclass(frozen=True)
class Journey:
    """All that clients do, in its order, when it is given the address of a process (`127.0.0.1:PORT`, `unix@PATH`).

    `host` is their Host header, None for `localhost`. `outbound` says of an environment, and of the addresses of the
    services in it, where the app may connect to meanwhile: what is reachable, and what is not (entries of
    `sandbox.outbound.Policy`). `left_out` tells what of it is not done, a line each.
    """

    visits: Callable[[str], AsyncIterator[Visit]]
    outbound: Callable[[Mapping[str, str], tuple[str, ...]], Awaitable[tuple[tuple[str, ...], tuple[str, ...]]]]
    host: str | None = None
    left_out: tuple[str, ...] = ()


Plan = Callable[[App], Journey | None]
"""The journey that an app declares; raises Problem for one that cannot be read."""

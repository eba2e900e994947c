"""Lines of HAProxy's access log, as the router has it write them."""

from __future__ import annotations

from fungible.runtime.router import Upstream

WEB = Upstream("web.1", "i1", "v1", "127.0.0.1:20001", max_in_flight=7)
UPSTREAMS = {"p1": WEB}


def line(**changes: object) -> bytes:
    """A request that `WEB` answered at once, but for `changes`."""
    has = {
        "server": "p1",
        "status": 200,
        "end": "--",
        "cause": "-",
        "retries": "0",
        "queue": 0,
        "total": 3,
        "method": "GET",
        "bytes": 120,
        "connect": 1,
        "response": 2,
        "id": "4711",
        "client": "127.0.0.1",
        "path": "/a",
    } | changes
    half = "{server} {status} {end} {cause} {retries} {queue} {total} {method}".format(**has)
    rest = "{bytes} {connect} {response} {id} {client} {path}".format(**has)
    return f"{half};{rest}".encode()

"""The router on an engine: HAProxy's configuration where processes are found by name, and the files beside it.

Engines balance connections (kube-proxy, IPVS), and a client that keeps one open would meet one process again and
again. So the formation brings its router along: the same rules as on one machine (runtime/router), with the processes
found by DNS in place of being added and deleted over the runtime socket.
"""

from __future__ import annotations

from collections.abc import Mapping

from fungible.app.problem import Problem
from fungible.engines.description import Description, Workload
from fungible.runtime.router.answers import HTML, answers_map
from fungible.runtime.router.configuration import (
    ANSWERS,
    BACKEND,
    CAUSE,
    FRONTEND,
    OURS,
    backend_section,
    defaults_section,
    milliseconds,
    pool_words,
    refusal,
)
from fungible.runtime.router.model import RouterSettings

ROUTER_PORT = 8080
ALIVE = "/fungible-router"
"""What the router answers itself: whether it is there, not whether a process is."""
CONFIGURATION = "haproxy.cfg"
MOST = 250
"""Processes that the router can be told of; a DNS answer of more would not fit (`accepted_payload_size`)."""
_VERSION = (2, 8, 0)


def router_files(description: Description, web: Workload, address: str, *, behind: bool) -> dict[str, str]:
    """The files of the router by name, for one folder, from where HAProxy 2.8 reads them (`haproxy -C FOLDER -f
    haproxy.cfg`).

    `address` is the name that stands for the processes (`tasks.web`, `web-processes`). With `behind` another proxy
    stands before it (an Ingress), and what that says of the client (X-Forwarded-*) is kept; without, a client could
    forge it, so it is deleted. Raises Problem for more processes than the router can be told of.
    """
    if web.processes > MOST:
        raise Problem(f"web: the router can be told of {MOST} processes, not of {web.processes}")
    settings = _settings(description)
    backend = backend_section(settings, [_template(web, address)])
    return _files(_global(settings), defaults_section(settings), _resolvers(), _frontend(settings, behind), backend)


def fixed_router_files(
    description: Description, web: Workload, servers: Mapping[str, str], port: int, *, behind: bool
) -> dict[str, str]:
    """The same where each process has an address of its own: `servers` are addresses by name (`web.1`), `port` is the
    router's. For any HAProxy from 2.6 on, as it is the machine's own."""
    settings = _settings(description)
    lines = [f"server {name} {' '.join([address, *_server(web)])}" for name, address in servers.items()]
    pools = [" ".join(["default-server", *pool_words(version)]) for version in ((3, 0, 0), _VERSION)]
    chosen = [".if version_atleast(3.0)", pools[0], ".else", pools[1], ".endif"]
    backend = backend_section(settings, [*chosen, *lines])
    return _files(_global(settings), defaults_section(settings), _frontend(settings, behind, port), backend)


def _settings(description: Description) -> RouterSettings:
    return RouterSettings(
        queue_timeout=description.queue_timeout,
        request_timeout=description.request_timeout,
        max_body=description.max_body,
    )


def _files(*sections: str) -> dict[str, str]:
    return {CONFIGURATION: "".join(sections).lstrip(), ANSWERS: answers_map(), CAUSE: "cause starting\n"}


def _global(settings: RouterSettings) -> str:
    return f"""
global
  nbthread 2
  tune.idle-pool.shared off
  # As many connections as these descriptors allow: what a node allows may be less, or a billion.
  fd-hard-limit 16384
  log stdout format raw local0 notice
  # As much time as requests may take: then whoever replaces this router has all new ones.
  hard-stop-after {milliseconds(settings.request_timeout)}
"""


def _resolvers() -> str:
    """The engine's own name service, asked each second, and believed no longer; where it fails, what it said last
    holds."""
    return """
resolvers engine
  parse-resolv-conf
  accepted_payload_size 8192
  timeout resolve 1s
  timeout retry 1s
  resolve_retries 3
  hold valid 1s
  hold obsolete 0s
  hold nx 10s
  hold other 30s
  hold refused 30s
  hold timeout 30s
"""


def _frontend(settings: RouterSettings, behind: bool, port: int = ROUTER_PORT) -> str:
    if behind:
        forwarded = "\n".join(
            f"  http-request set-header {name} {value} unless {{ req.hdr({name}) -m found }}"
            for name, value in (("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "%[req.hdr(host)]"))
        )
        forwarded = f"  http-request del-header '^x[-_]request[-_]id$' -m reg\n  option forwardfor\n{forwarded}"
    else:
        forwarded = "\n".join(
            (
                "  # WSGI and CGI read `_` in a name as `-`, so a name with `_` is the same name.",
                f"  http-request del-header {OURS} -m reg",
                "  option forwardfor",
                "  http-request set-header X-Forwarded-Proto http",
                "  http-request set-header X-Forwarded-Host %[req.hdr(host)]",
            )
        )
    return f"""
frontend {FRONTEND}
  bind :{port}
  monitor-uri {ALIVE}
  # A router that is to end answers once more on a kept connection, and says there that it is the last time.
  option idle-close-on-response
  unique-id-format %[uuid()]
  unique-id-header X-Request-Id
  http-request set-var(txn.form) str(.html) if {{ req.fhdr(accept) -m sub text/html }}
  {refusal(413, "str(body-too-large)", f"{{ req.body_size gt {settings.max_body} }}")}
{forwarded}
  http-after-response set-header Content-Type '{HTML}' if {{ var(txn.cause) -m found }} {{ var(txn.form) -m found }}
  http-after-response set-header X-Request-Id %ID
  default_backend {BACKEND}
"""


def _template(web: Workload, address: str) -> str:
    """The lines of all processes. The name gives those that are ready; the check is of the connection alone, so that
    a process that is busy stays and one that is gone is not tried for long."""
    words = [f"server-template process- 1-{MOST} {address}:{web.port}", "resolvers engine", "init-addr none"]
    return " ".join([*words, *pool_words(_VERSION), *_server(web)])


def _server(web: Workload) -> list[str]:
    words = ["check inter 1s fall 1 rise 1"]
    return [*words, f"maxconn {web.max_in_flight}"] if web.max_in_flight else words

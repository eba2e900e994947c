"""The configuration of HAProxy as text: a pure function of settings, given and the processes to choose from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fungible.app.problem import Problem
from fungible.runtime.router.access_log import LOG_FORMAT
from fungible.runtime.router.answers import HTML, JSON
from fungible.runtime.router.model import RouterSettings, Upstream

BACKEND = "app"
FRONTEND = "public"
STREAMS = "streams"
ANSWERS = "answers.map"
CAUSE = "cause.map"

_ADDRESS = re.compile(r"(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\]):\d{1,5}|unix@/[!-~]{1,107}")
_IDEMPOTENT = "METH_GET or METH_HEAD or METH_OPTIONS"
_HOST = r"'^([A-Za-z0-9._~%-]*|\[[0-9A-Fa-f:.%]+\])(:[0-9]*)?$'"
OURS = "'^(x[-_]forwarded[-_]|(forwarded|x[-_]real[-_]ip|x[-_]request[-_]id|proxy)$)'"
_FATE = "var(txn.fate,queue-timeout),field(1,.)"


@dataclass(frozen=True)
class Descriptors:
    """The descriptors that HAProxy inherits: `listen` (at `port`; `ipv6`: of that family), `admin` and `log`.

    Beside them it reads the maps `ANSWERS` (bodies) and `CAUSE` (why there is no process) from its folder.
    """

    listen: int
    admin: int
    log: int
    port: int
    ipv6: bool = False


def milliseconds(seconds: float) -> str:
    """`seconds` as HAProxy writes a time; at least one millisecond, as 0 would mean "for ever"."""
    return f"{max(1, round(seconds * 1000))}ms"


def quoted(text: str) -> str:
    """`text` as one word of the configuration; raises `ValueError` for a character that no quoting allows."""
    if "\n" in text or "\0" in text:
        raise ValueError("a line break cannot be part of the router's configuration")
    return "'" + text.replace("'", "'\\''") + "'"


def pool_keyword(version: tuple[int, int, int]) -> str:
    """How this version lets a request name the pool of upstream connections that it may share.

    Before 3.0 the pool is keyed by the name for TLS (`sni`), which is evaluated on plain connections too.
    """
    return "pool-conn-name" if version >= (3, 0, 0) else "sni"


def pool_words(version: tuple[int, int, int]) -> list[str]:
    """The options of a server by which requests share its connections, or have one of their own.

    `pool-purge-delay` is given always: without it 2.6 never reuses a connection of a server added at run time.
    The pool expression is evaluated whenever a connection is about to be made; that is also what tells a
    request that met a process (`txn.fate`) from one that only waited.
    """
    shared = [pool_keyword(version), "var(txn.pool,crashed),set-var(txn.fate)"]
    return [*shared, "pool-purge-delay", "2s", "pool-max-conn", "64"]


def server_words(upstream: Upstream, version: tuple[int, int, int]) -> str:
    """Address and options of a server, the same on the `add server` command and in the configuration."""
    port = upstream.address.rpartition(":")[2]
    if not _ADDRESS.fullmatch(upstream.address) or (port.isdigit() and not 0 < int(port) < 65536):
        raise Problem(f"{upstream.name}: {upstream.address!r} is no address: write 127.0.0.1:PORT or unix@/path")
    words = [upstream.address, *pool_words(version)]
    if upstream.max_in_flight:
        words += ["maxconn", str(upstream.max_in_flight)]
    return " ".join(words)


def failure(status: int, cause: str) -> str:
    """The `http-error` line for a failure that HAProxy finds itself.

    `cause` is a sample expression; what it gives is kept for the log (`txn.cause`), so that no answer has to be
    asked for its header. The type of the body is corrected by `http-after-response` where HTML was asked for.
    """
    body = f"%[{cause},concat(,txn.form),map_str({ANSWERS})]"
    named = f"'%[{cause},set-var(txn.cause)]'"
    return f"http-error status {status} content-type {JSON} hdr Fungible-Cause {named} lf-string '{body}'"


def refusal(status: int, cause: str, condition: str) -> str:
    """An `http-request return` line that answers with `cause` (a sample expression) under `condition`."""
    error = failure(status, cause).removeprefix("http-error ")
    return f"http-request return {error} if {condition}"


def global_section(settings: RouterSettings, given: Descriptors, connections: int, threads: int) -> str:
    """Limits of the process and its runtime socket."""
    return f"""
global
  nbthread {threads}
  # Each thread keeps its own idle connections, and takes none over from another.
  tune.idle-pool.shared off
  maxconn {connections}
  stats socket fd@{given.admin} level admin
  {"ssl-default-bind-options ssl-min-ver TLSv1.2" if settings.certificate else "# no TLS"}
"""


def defaults_section(settings: RouterSettings) -> str:
    """Time-outs, the retry rule and how failures are answered."""
    return f"""
defaults
  mode http
  timeout connect {milliseconds(settings.connect_timeout)}
  timeout client {milliseconds(settings.client_timeout)}
  timeout server {milliseconds(settings.request_timeout)}
  timeout queue {milliseconds(settings.queue_timeout)}
  timeout http-request {milliseconds(settings.header_timeout)}
  timeout http-keep-alive {milliseconds(settings.keep_alive_timeout)}
  timeout tunnel {milliseconds(settings.stream_timeout)}
  timeout client-fin 30s
  option http-ignore-probes
  option dontlognull
  option abortonclose
  # One retry at most, elsewhere. Never for a time-out, never for an answer that the app gave.
  retries 1
  option redispatch 1
  retry-on conn-failure empty-response
  http-reuse always
  # A challenge of NTLM or Negotiate ties a client to one upstream connection, unless none may be kept for it.
  max-session-srv-conns 0
  {failure(400, "str(bad-request)")}
  {failure(408, "str(slow-request)")}
  {failure(500, "str(router-error)")}
  {failure(502, "str(crashed)")}
  {failure(503, _FATE)}
  {failure(504, "str(backend-timeout)")}
"""


def frontend_section(settings: RouterSettings, given: Descriptors) -> str:
    """The public port: its log, its limits, and the headers that only we may set."""
    bind = f"bind fd@{given.listen}"
    if settings.certificate:
        bind += f" ssl crt {quoted(settings.certificate)} alpn h2,http/1.1"
    client = '"[%[src]]"' if given.ipv6 else "%[src]"
    forwarded = f"for={client};proto={_proto(settings)}"
    host_found = "{ req.fhdr(host) -m found }"
    bad_host = f"!{{ req.fhdr(host) -m reg {_HOST} }} {host_found}"
    return f"""
frontend {FRONTEND}
  {bind}
  log fd@{given.log} len 8192 format raw local0 info
  log-format {quoted(LOG_FORMAT)}
  unique-id-format %[uuid()]
  unique-id-header X-Request-Id
  # What a connection and its requests have in common is turned into text once.
  tcp-request session set-var-fmt(sess.client) %[src]
  # `fhdr` is a line as a whole, which is looked at once; `hdr` would be each of the types that it lists.
  http-request set-var(txn.form) str(.html) if {{ req.fhdr(accept) -m sub text/html }}
  {refusal(413, "str(body-too-large)", f"{{ req.body_size gt {settings.max_body} }}")}
  # WSGI and CGI read `_` in a name as `-`, so a name with `_` is the same name. HAProxy has made all names lower
  # case. The condition is one look at all names, and HAProxy remembers what it said of the same names before.
  http-request del-header {OURS} -m reg if {{ req.hdr_names -m sub forwarded real-ip request-id proxy _ }}
  # Those of a client are deleted above, so that nothing has to be looked for to be replaced.
  http-request add-header X-Forwarded-For %[var(sess.client)]
  http-request add-header X-Forwarded-Proto {_proto(settings)}
  http-request add-header X-Forwarded-Port {given.port}
  http-request add-header X-Forwarded-Host %[var(sess.host)]
  http-request add-header Forwarded %[var(sess.forwarded)]
  # `allow` is the end of this section's rules. Below, a connection's first request, and one for another host.
  http-request allow if {{ req.fhdr(host),strcmp(sess.host) eq 0 }}
  http-request del-header x-forwarded-host
  http-request unset-var(sess.host)
  {refusal(400, "str(bad-request)", bad_host)}
  http-request set-var-fmt(sess.forwarded) {quoted(forwarded)}
  http-request set-header Forwarded %[var(sess.forwarded)]
  http-request allow unless {host_found}
  http-request set-var(sess.host) req.fhdr(host)
  http-request set-var-fmt(sess.forwarded) '%[var(sess.forwarded)];host="%[var(sess.host)]"'
  http-request add-header X-Forwarded-Host %[var(sess.host)]
  http-request set-header Forwarded %[var(sess.forwarded)]
  http-after-response set-header Content-Type '{HTML}' if {{ var(txn.cause) -m found }} {{ var(txn.form) -m found }}
  http-after-response set-header X-Request-Id %ID
  default_backend {BACKEND}
"""


def backend_section(settings: RouterSettings, servers: Iterable[str]) -> str:
    """The processes, a line each, and the rules by which a request is given to one."""
    cause = f"str(cause),map_str({CAUSE},no-process)"
    listed = "\n".join(f"  {line}" for line in servers)
    return f"""
backend {BACKEND}
  balance roundrobin
  {refusal(503, cause, f"{{ nbsrv({BACKEND}) eq 0 }}")}
  acl wants_events req.fhdr(accept) -m sub text/event-stream
  http-request set-timeout server {milliseconds(settings.stream_timeout)} if wants_events
  # Nor is a stream's connection kept: a process that stops would wait for it to be idle long enough, as Node does.
  http-request set-header Connection close if wants_events
  http-request allow if {_IDEMPOTENT}
  # A request that must not be sent twice gets a connection of its own: on a shared one, a process that closes
  # an idle connection at that moment could not be told from one that took the request.
  http-request set-var-fmt(txn.pool) crashed.%ID
  http-request set-header Connection close unless {{ req.hdr(upgrade) -m found }}
  http-request disable-l7-retry
  http-response del-header Fungible-Cause
  http-response track-sc0 srv_name table {STREAMS} if {{ status 101 }}
  # An answer of a length that is known is no stream.
  http-response allow if {{ res.fhdr(content-length) -m found }}
  http-response track-sc0 srv_name table {STREAMS} if {{ res.hdr(content-type) -m beg text/event-stream }}
{listed}

backend {STREAMS}
  stick-table type string len 32 size 100k expire 24h store conn_cur
"""


def configuration(
    settings: RouterSettings,
    given: Descriptors,
    servers: Iterable[tuple[str, Upstream]] = (),
    *,
    version: tuple[int, int, int] = (2, 8, 0),
    connections: int = 10_000,
    threads: int = 1,
) -> str:
    """The whole configuration; `servers` are pairs of server name and upstream that may be chosen at once.

    `connections` bounds the client connections, `threads` is how many serve them. Raises `Problem` for an address
    that is none.
    """
    lines = [f"server {name} {server_words(upstream, version)}" for name, upstream in servers]
    return "".join(
        [
            global_section(settings, given, connections, threads),
            defaults_section(settings),
            frontend_section(settings, given),
            backend_section(settings, lines),
        ]
    )


def _proto(settings: RouterSettings) -> str:
    return "https" if settings.certificate else "http"

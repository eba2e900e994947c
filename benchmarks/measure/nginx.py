"""nginx in front of processes, as one would set it up: kept connections upstream, the usual headers, a log."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from measure.peers import program
from measure.processes import descendants, free_port, running, wait_for

_CONFIGURATION = """
daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{ worker_connections 1024; }}
http {{
  access_log {log};
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream app {{
{servers}
    keepalive 64;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Request-Id $request_id;
    }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(
    folder: Path, addresses: Sequence[str], *, log: bool = True, path: str = "/", around: str = ""
) -> Iterator[tuple[int, list[int]]]:
    """nginx in front of `addresses` (ports of loopback, or paths of Unix sockets); gives its port and its pids.

    As many workers as cores, as Debian sets it up. `log`: an access log in its usual format. `around`: a program that
    counts what nginx does; it is then one process.
    """

    tool = program("nginx")
    if tool is None:
        raise SystemExit("nginx is missing")
    port = free_port()
    folder.mkdir(exist_ok=True)
    servers = [f"127.0.0.1:{each}" if each.isdigit() else f"unix:{each}" for each in addresses]
    text = _CONFIGURATION.format(
        folder=folder,
        port=port,
        log=f"{folder}/access.log" if log else "off",
        user="user root;" if os.geteuid() == 0 else "",
        servers="\n".join(f"    server {server};" for server in servers),
    )
    if around:
        text = text.replace("worker_processes auto;", "master_process off;")
    (folder / "nginx.conf").write_text(text)
    with running(f"{around} {tool} -p {folder} -c {folder}/nginx.conf", folder, {"PATH": os.defpath}) as process:
        wait_for(port, path)
        yield port, [process.pid, *descendants(process.pid)]

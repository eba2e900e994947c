"""`fungible record`: the proxy in front of the running formation, until a signal; then the file."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fungible.app.model import App
from fungible.app.problem import Exit, Problem
from fungible.runtime.ground.folders import folders_for
from fungible.services.place import write_private
from fungible.verify.record.passage import LONGEST_BODY
from fungible.verify.record.proxy import Proxy
from fungible.verify.record.recording import as_workload, clients_of, without_idle_host
from fungible.verify.record.upstream import upstream_of
from fungible.verify.workload.dump import workload_text
from fungible.verify.workload.steps import Workload

_COMMENT = "# Recorded by fungible record. Passwords and tokens stand in it as they were sent.\n"


@dataclass(frozen=True)
class Options:
    """What the command line says. `url` None: that of the app's own running formation."""

    to: Path
    port: int
    url: str | None
    assets: bool


async def record(app: App | None, options: Options, operating_system: Mapping[str, str]) -> int:
    """Record until SIGINT or SIGTERM, then write the workload; returns the exit code.

    The first line on stdout is the proxy's URL. Raises Problem where no app can be reached, the port is taken or
    the file cannot be written, all before anything was recorded.
    """
    url = options.url or _running(app, operating_system)
    upstream = upstream_of(url)
    _check_writable(options.to)
    try:
        _, writer = await asyncio.wait_for(upstream.connect(), 10)
        writer.close()
    except (OSError, TimeoutError):
        raise Problem(
            f"nothing answers at {url}; start the app with `fungible start` first", Exit.NOT_ALLOWED
        ) from None
    proxy = Proxy(upstream)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    try:
        print(await proxy.start(options.port), flush=True)  # noqa: T201 - the first line on stdout is the URL alone
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise Problem(f"--port {options.port}: the port is in use; choose another, or leave it out") from None
    _tell(f"recording what goes to {url}; use the address above, and end with Ctrl-C")
    await stopped.wait()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.remove_signal_handler(number)
    await proxy.stop()
    workload = recorded(proxy, assets=options.assets)
    text = workload_text(without_idle_host(workload), options.to.name)
    comment = "" if text.startswith("{") else _COMMENT
    write_private(options.to, comment + text)
    for warning in workload.warnings:
        _tell(warning)
    _tell(_summary(workload, options.to))
    return Exit.DONE


def recorded(proxy: Proxy, *, assets: bool = True) -> Workload:
    """What a proxy saw as a workload, with a sentence for everything that is not in it."""
    workload = as_workload(proxy.exchanges, assets=assets)
    limit = f"{LONGEST_BODY // 1024 // 1024} MiB"
    return replace(workload, warnings=(*workload.warnings, *proxy.losses.sentences(limit)))


def _running(app: App | None, operating_system: Mapping[str, str]) -> str:
    """The URL that the app's formation wrote down."""
    if app is not None:
        folders = folders_for(app.state_name, operating_system)
        try:
            return (folders.run / "url").read_text(encoding="utf-8").strip()
        except OSError:
            pass
    raise Problem(
        "no formation of this app is running; start it with `fungible start`, or name an address with --url",
        Exit.NOT_ALLOWED,
    )


def _check_writable(path: Path) -> None:
    """Before an hour is recorded rather than after it."""
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir():
        raise Problem(f"--to {path}: name a file in a folder that exists")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Problem(f"--to {path}: the folder {folder} cannot be written")


def _summary(workload: Workload, path: Path) -> str:
    count, clients = len(workload.steps), clients_of(workload)
    requests = f"{count} request{'s' * (count != 1)} of {clients} client{'s' * (clients != 1)}"
    if not count:
        return f"nothing was recorded; {path} holds no request"
    return (
        f"{requests} written to {path}; passwords, tokens and Authorization headers stand in it as they were sent, "
        "so only you can read it"
    )


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()

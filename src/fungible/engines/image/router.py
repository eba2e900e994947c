"""The router's image: HAProxy and its libraries, nothing else. It changes when HAProxy does, not with the app, so a
release of the app leaves the router alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from fungible.engines.description import USER
from fungible.engines.image.archive import Image
from fungible.engines.image.closure import Host, file_at, libraries
from fungible.engines.image.content import Entry, File, Folder, Layer, layer
from fungible.engines.image.machine import architecture
from fungible.engines.routing import CONFIGURATION
from fungible.runtime.router.binary import Binary, find

CONFIGURED = "/etc/fungible"
"""The folder in which it finds its files (`engines.routing`)."""
ARGUMENTS = ("-db", "-C", CONFIGURED, "-f", f"{CONFIGURED}/{CONFIGURATION}")
_HOME = "/haproxy"


def router_reference(repository: str) -> str:
    """`REPOSITORY:VERSION-CONTENT`, what the image of the HAProxy that is here is called. Raises Problem for none."""
    return str(router_image(repository).reference)


def router_image(repository: str) -> Image:
    """The image of the HAProxy that runs here. Raises Problem where there is none."""
    binary = find()
    content = layer("router", _entries(Host(""), binary))
    version = ".".join(map(str, binary.version))
    return Image(
        repository=None,  # its reference is by its content already
        reference=f"{repository}:{version}-{_digest(content)[:8]}",
        layers=(content,),
        architecture=architecture(),
        entrypoint=(f"{_HOME}/bin/haproxy",),
        command=ARGUMENTS,
        environment={"LD_LIBRARY_PATH": f"{_HOME}/lib"} if binary.environment else {},
        folder=CONFIGURED,
        user=f"{USER}:{USER}",
        stop_signal="SIGUSR1",  # finish what is under way, take nothing new
        labels={"org.opencontainers.image.title": "haproxy", "org.opencontainers.image.version": version},
    )


def _entries(host: Host, binary: Binary) -> Iterator[Entry]:
    """The HAProxy that runs here, which may bring its libraries along."""
    yield Folder(CONFIGURED)
    yield file_at(binary.path, f"{_HOME}/bin/haproxy")
    brought = binary.environment.get("LD_LIBRARY_PATH")
    own = sorted(Path(brought).iterdir()) if brought else []
    for each in own:
        yield file_at(str(each), f"{_HOME}/lib/{each.name}")
    yield from libraries(host, [binary.path, *map(str, own)], {each.name for each in own})
    yield from host.threads()


def _digest(content: Layer) -> str:
    whole = hashlib.sha256()
    for each in content.entries:
        whole.update(f"{each.path}\0".encode())
        if isinstance(each, File) and each.source is not None:
            whole.update(each.source.read_bytes())
    return whole.hexdigest()

"""A backing service that somebody else runs: all we have of it is a URL, and we never write to it."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from fungible.services.store import Mount, Service

_SCHEMES = {
    "redis": "valkey",
    "rediss": "valkey",
    "valkey": "valkey",
    "valkeys": "valkey",
    "unix": "valkey",
    "postgres": "postgres",
    "postgresql": "postgres",
    "sqlite": "sqlite",
    "sqlite3": "sqlite",
    "memcached": "memcached",
    "memcache": "memcached",
    "file": "folder",
}


class ExternalService(Service):
    """A service whose URL was set in the environment.

    `kind` is what the URL's scheme says, else the kind that was declared. `app_folder` is where a relative
    SQLite path begins.
    """

    def __init__(self, name: str, url: str, declared: str, app_folder: Path | None = None) -> None:
        self.name = name
        self._url = url
        self.kind = kind_of(url) or declared
        self._app_folder = app_folder

    @property
    def url(self) -> str:
        return self._url

    async def start(self) -> None:
        """Nothing: it runs already."""

    async def stop(self) -> None:
        """Nothing: its end is not ours."""

    @property
    def path(self) -> Path | None:
        """The file or folder that the URL names, for the kinds `sqlite` and `folder`; None in memory."""
        if self.kind == "sqlite":
            found = sqlite_path(self._url)
        elif self.kind == "folder":
            found = Path(unquote(urlsplit(self._url).path) if self._url.startswith("file:") else self._url)
        else:
            return None
        if found is not None and not found.is_absolute() and self._app_folder is not None:
            return self._app_folder / found
        return found

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """The SQLite file's folder (because of -wal and -shm), or the folder itself."""
        path = self.path
        if path is None or not path.is_absolute():
            return ()
        folder = path.parent if self.kind == "sqlite" else path
        return (Mount(folder, folder),) if folder.is_dir() and folder != Path("/") else ()

    @property
    def loopback(self) -> bool:
        """Whether the service is on this machine, as far as the URL alone tells: no name is looked up."""
        if self.kind in ("sqlite", "folder"):
            return True
        return all(is_local(host) for host in hosts_of(self._url))


def kind_of(url: str) -> str | None:
    """The kind that a URL's scheme says (`postgresql+psycopg://` is `postgres`), or None."""
    if url.startswith("/"):
        return "folder"
    match = re.match(r"([a-z][a-z0-9]*)(\+[a-z0-9_]+)?:", url, re.IGNORECASE)
    return _SCHEMES.get(match[1].lower()) if match and "://" in url else None


def driver_of(url: str) -> str | None:
    """The driver in a URL's scheme (`asyncpg` of `postgresql+asyncpg://`), or None."""
    return url.partition("://")[0].partition("+")[2] or None


def sqlite_path(url: str) -> Path | None:
    """The file of `sqlite:///relative` or `sqlite:////absolute` (SQLAlchemy's form); None for `:memory:`."""
    rest = re.sub(r"^[^:]+:(//)?", "", url, count=1).split("?", 1)[0]
    path = unquote(rest.removeprefix("/"))
    return None if path in ("", ":memory:") else Path(path)


def hosts_of(url: str) -> tuple[str, ...]:
    """Every host that a URL names; a Unix socket is its absolute path; no host at all is the empty string.

    libpq's words (`host=localhost dbname=shop`) and lists of `HOST:PORT` are understood as well.
    """
    words = re.findall(r"(?:^|\s)(?:host|hostaddr)\s*=\s*'?([^\s']*)", url)
    if "://" not in url and words:
        return tuple(host for word in words for host in word.split(","))
    if "://" not in url:
        return tuple(part.strip().rsplit(":", 1)[0] for part in re.split(r"[,; ]+", url) if part.strip())
    try:
        parts = urlsplit(url)
    except ValueError:
        return (url,)
    if parts.scheme == "unix":
        return (unquote(parts.path),)
    # PostgreSQL takes many hosts, and takes them from the query as well (libpq, "Connection URIs").
    query = parse_qs(parts.query)
    found = [unquote(_without_port(entry)) for entry in parts.netloc.rsplit("@", 1)[-1].split(",")]
    named = [host for key in ("host", "hostaddr") for value in query.get(key, []) for host in value.split(",")]
    return tuple([host for host in found if host] + named) or ("",)


def _without_port(entry: str) -> str:
    if entry.startswith("["):
        return entry[1:].split("]", 1)[0]
    return entry.split(":", 1)[0]


def is_local(host: str) -> bool:
    """Whether a host of a URL is this machine; no name is looked up."""
    if host == "" or host.startswith("/") or host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

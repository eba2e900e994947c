"""Which hosts and addresses a download may come from. Pure.

Sources: the IANA IPv4 and IPv6 special-purpose address registries (RFC 6890) through `ipaddress`; RFC 6052, RFC 3056
and RFC 4380 for IPv6 addresses that carry an IPv4 address; OWASP ASVS 5.0, 13.2.4 and 15.3.2.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from fungible_kit.scratch_space.errors import FetchRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
# `is_global` takes these for public: IETF protocol assignments (some clouds' metadata), Azure's host agent, relays.
_NOT_PUBLIC: tuple[Network, ...] = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("168.63.129.16/32"),
    ipaddress.IPv4Network("192.88.99.0/24"),
    ipaddress.IPv6Network("fec0::/10"),
)
_LONGEST = 8192


@dataclass(frozen=True)
class Target:
    """Where one exchange goes: `host` in ASCII without brackets, `path` with its query."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def shown(self) -> str:
        """The URL for a message or a log: without its query, which may hold a secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.secure else 80
        port = "" if self.port == usual else f":{self.port}"
        return f"http{'s' if self.secure else ''}://{host}{port}{self.path.partition('?')[0]}"


def target_of(url: str) -> Target:
    """The parts of an http(s) URL. Raises `FetchRefused` for everything else."""
    if not isinstance(url, str) or len(url) > _LONGEST:
        raise FetchRefused(f"this is no URL of at most {_LONGEST} characters", "url")
    if not url.isprintable() or " " in url or "\\" in url:
        raise FetchRefused("the URL has a character that no URL may have", "url")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = _ascii(parts.hostname or "")
    except ValueError:
        raise FetchRefused("the URL cannot be read: its host or port is malformed", "url") from None
    if parts.scheme not in ("http", "https"):
        raise FetchRefused("only http:// and https:// are fetched", "url")
    if not host or port == 0:
        raise FetchRefused("the URL names no host", "url")
    if "@" in parts.netloc:
        raise FetchRefused("the URL holds a user name or password: give `headers` instead", "url")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii():
        raise FetchRefused("the URL's path is not ASCII: percent-encode it", "url")
    secure = parts.scheme == "https"
    return Target(secure, host, port or (443 if secure else 80), path)


def redirected(source: Target, location: str) -> Target:
    """Where a redirect leads. Raises `FetchRefused`, also where it would leave https."""
    try:
        absolute = urljoin(_written(source), location)
    except ValueError:
        raise FetchRefused(f"{source.shown} redirects to what is no URL", "redirect") from None
    target = target_of(absolute)
    if source.secure and not target.secure:
        raise FetchRefused(f"{source.shown} redirects from https to http", "redirect")
    return target


def _written(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return SplitResult("https" if target.secure else "http", f"{host}:{target.port}", target.path, "", "").geturl()


def host_allowed(host: str, hosts: Iterable[str]) -> bool:
    """Whether `host` is one of `hosts`: a name, an address, or `*.example.org` for every name below that one."""
    host = host.lower().rstrip(".")
    for each in hosts:
        rule = each.lower().rstrip(".").strip("[]")
        if host == rule or (rule.startswith("*.") and host.endswith(rule[1:]) and len(host) > len(rule) - 1):
            return True
    return False


def networks_of(names: Iterable[str]) -> tuple[Network, ...]:
    """Networks as written ("10.1.0.0/16", "127.0.0.1"). Raises ValueError with a sentence."""
    found: list[Network] = []
    for name in names:
        try:
            found.append(ipaddress.ip_network(name))
        except ValueError:
            raise ValueError(f'networks: {name!r} is none: give one like "10.1.0.0/16" or "127.0.0.1"') from None
    return tuple(found)


def address_allowed(address: str, networks: Iterable[Network] = ()) -> bool:
    """Whether to connect to `address`: on the public internet, or in one of `networks`.

    An IPv6 address that carries an IPv4 one (mapped, NAT64, 6to4, Teredo) is judged by both.
    """
    try:
        whole = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    carried = _carried(whole)
    if any(each in network for network in networks for each in (whole, *carried) if each.version == network.version):
        return True
    if isinstance(whole, ipaddress.IPv6Address) and whole.ipv4_mapped is not None:
        return all(map(_public, carried))
    return _public(whole) and all(map(_public, carried))


def _carried(address: Address) -> tuple[Address, ...]:
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if any(address in network for network in _NAT64) or int(address) >> 32 == 0:
        return (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF),)
    return ()


def _public(address: Address) -> bool:
    if any(address.version == network.version and address in network for network in _NOT_PUBLIC):
        return False
    nat64 = isinstance(address, ipaddress.IPv6Address) and address in _NAT64[0]
    return (address.is_global or nat64) and not (
        address.is_multicast or address.is_unspecified or address.is_loopback or address.is_link_local
    )


def _ascii(host: str) -> str:
    if "%" in host:
        raise ValueError("zone")
    return host.lower() if host.isascii() else host.encode("idna").decode("ascii")

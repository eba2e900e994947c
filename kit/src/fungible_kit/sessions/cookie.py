"""The cookie that carries the id, and what a response says to caches about it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from fungible_kit.sessions.errors import Misconfigured
from fungible_kit.sessions.identity import key_of, well_formed
from fungible_kit.sessions.session import Session

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", re.ASCII)  # RFC 6265, section 4.1.1

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Cookie:
    """How the cookie is sent. The default is bound to the host, to HTTPS and to the browser's life (`__Host-`,
    RFC 6265bis section 4.1.3.2; OWASP ASVS 5.0, 3.3).

    `persistent`: it outlives the browser, as long as the session. Raises `Misconfigured` for what browsers refuse.
    """

    name: str = "__Host-sid"
    samesite: Literal["lax", "strict", "none"] = "lax"
    secure: bool = True
    domain: str | None = None
    path: str = "/"
    persistent: bool = False

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.name):
            # A secret given by mistake is not repeated.
            raise Misconfigured(
                "the name of the cookie has 1 to 64 letters, digits, - or _; sessions need no secret key, "
                "the id is all there is to know"
            )
        if self.samesite not in ("lax", "strict", "none"):
            raise Misconfigured(f"samesite={self.samesite!r} is none of 'lax', 'strict' and 'none'")
        if self.samesite == "none" and not self.secure:
            raise Misconfigured("samesite='none' needs secure=True: browsers refuse it otherwise")
        if self.name.startswith("__Host-") and (not self.secure or self.domain is not None or self.path != "/"):
            raise Misconfigured(
                f"a cookie named {self.name} needs secure=True, path='/' and no domain: browsers refuse "
                "it otherwise; name it 'sid' to change these"
            )
        if self.name.startswith("__Secure-") and not self.secure:
            raise Misconfigured(f"a cookie named {self.name} needs secure=True: browsers refuse it otherwise")
        for part in (self.domain or "", self.path):
            if any(not 32 < ord(sign) < 127 or sign in ";," for sign in part):
                raise Misconfigured(f"{part!r} cannot stand in a cookie")

    def id_in(self, header: str) -> str | None:
        """The id in a `Cookie` header. None where there is none, it is not of our form, or the name is there twice:
        then somebody planted one for a parent domain or another path, and either could be theirs.
        """
        if self.name not in header:
            return None
        found: list[str] = []
        for part in header.split(";"):
            name, separator, value = part.partition("=")
            if separator and name.strip() == self.name:
                found.append(value.strip().strip('"'))
        return found[0] if len(found) == 1 and well_formed(found[0]) else None

    def planted(self, header: str) -> str:
        """The `Set-Cookie` value for a new id, without Max-Age."""
        return f"{self.name}={header}{self._attributes()}"

    def lasting(self, id: str, seconds: int) -> str:
        return f"{self.name}={id}; Max-Age={max(0, seconds)}{self._attributes()}"

    def cleared(self) -> str:
        return f"{self.name}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT{self._attributes()}"

    def _attributes(self) -> str:
        domain = f"; Domain={self.domain}" if self.domain is not None else ""
        secure = "; Secure" if self.secure else ""
        return f"; Path={self.path}{domain}{secure}; HttpOnly; SameSite={self.samesite.capitalize()}"


def set_cookie(cookie: Cookie, session: Session, id: str | None, *, persistent: bool | None = None) -> str | None:
    """The `Set-Cookie` value that a saved session calls for, or None. `id` is what the browser sent."""
    if session.signed_out:
        return cookie.cleared()
    lasting = cookie.persistent if persistent is None else persistent
    if session.issued is not None and not lasting:
        return cookie.planted(session.issued)
    carried = session.issued or (id if session.touched and lasting else None)
    if carried is None:
        return None
    if session.issued is None and key_of(carried) != session.key:
        return None  # a rotated id that led here: the browser has a newer one by now
    expires = session.expires
    return cookie.lasting(carried, int(expires.timestamp() - session.now) if expires is not None else 0)


def with_session(headers: Iterable[tuple[str, str]], session: Session, cookie: str | None) -> Headers:
    """The response's headers, fit for caches: `Vary: Cookie` where the session was looked at, and nothing that sets
    a cookie is kept by a shared cache (CVE-2023-30861 was the lack of it).
    """
    changed = list(headers)
    if not session.accessed and cookie is None:
        return changed
    vary = [value for name, value in changed if name.lower() == "vary"]
    if not vary:
        changed.append(("Vary", "Cookie"))
    elif not {part.strip().lower() for value in vary for part in value.split(",")} & {"cookie", "*"}:
        changed = [(name, value) for name, value in changed if name.lower() != "vary"]
        changed.append(("Vary", ", ".join([*vary, "Cookie"])))
    if cookie is None:
        return changed
    changed.append(("Set-Cookie", cookie))
    control = [value for name, value in changed if name.lower() == "cache-control"]
    words = [part.strip() for value in control for part in value.split(",") if part.strip()]
    if not words:
        changed.append(("Cache-Control", "no-store"))
    elif not {word.lower() for word in words} & {"private", "no-store"}:
        words = [w for w in words if w.lower() != "public" and not w.lower().startswith("s-maxage")]
        changed = [(name, value) for name, value in changed if name.lower() != "cache-control"]
        changed.append(("Cache-Control", ", ".join(["private", *words])))
    return changed

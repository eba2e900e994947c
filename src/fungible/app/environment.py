"""What the environment of a process is made of: config vars, the operating system's variables, `.env`, and
what every process is given; in this order of precedence, what is given first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from fungible.app.dotenv import VARIABLE, Assignment, Reference, parse_dotenv, resolve
from fungible.app.lines import MAX_STRING, byte_length
from fungible.app.problem import Problem
from fungible.app.wording import shown

__all__ = [
    "GIVEN",
    "VARIABLE",
    "Assignment",
    "Reference",
    "check_name",
    "compose",
    "looks_secret",
    "mask",
    "parse_assignment",
    "parse_dotenv",
    "resolve",
    "secrets_of",
    "shown_value",
]

# Given to processes by the run stage; nothing else can set them for a process.
GIVEN = frozenset(
    {
        "PORT",
        "FUNGIBLE_PROCESS",
        "FUNGIBLE_INSTANCE",
        "FUNGIBLE_RELEASE",
        "FUNGIBLE_SCRATCH",
        "FUNGIBLE_SHARED_ASSETS",
        "FUNGIBLE_SOCKET",
        "TMPDIR",
        "HOME",
        "XDG_RUNTIME_DIR",
    }
)
# Given as well, but only where nobody says otherwise.
_DEFAULTS = frozenset({"WEB_CONCURRENCY"})
# Never inherited: a formation inside a process of another one must not take its names for its own.
_NEVER_INHERITED = frozenset(name for name in GIVEN if name.startswith("FUNGIBLE_"))

_SECRET_WORDS = frozenset(
    {
        *("KEY", "SECRET", "SECRETS", "TOKEN", "TOKENS", "PASSWORD", "PASSWORDS", "PASS", "PASSWD", "PASSPHRASE"),
        *("PWD", "CREDENTIAL", "CREDENTIALS", "CREDS", "DSN", "SALT", "PRIVATE", "SIGNATURE", "JWT", "FERNET"),
    }
)
_SECRET_ENDS = ("SECRET", "TOKEN", "PASSWORD", "PASSWD", "PASSPHRASE", "APIKEY", "SECRETKEY", "ACCESSKEY")
_NOT_SECRET = frozenset({"PWD", "OLDPWD"})  # the shell's working folders
_URL_PASSWORD = re.compile(r"://[^\s/?#@:]*:([^\s/?#]+)@")
# What is secret whatever it is called: private keys (RFC 7468), and passwords in the query of a URL.
_PRIVATE = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----|[?&](?:password|passwd|secret|token|api_?key)=[^&\s]", re.I
)
_ABOUT_SECRETS = frozenset({"PREFIX", "TTL", "ALGORITHM", "LIFETIME", "EXPIRY", "LENGTH", "PUBLIC"})
"""A name that ends so, or has PUBLIC in it, says something of a secret that none need keep (TOKEN_TTL)."""
# Shorter values ("true", "1") stand in ordinary text too often to be struck out of it.
_SHORTEST_MASKED = 6
_MASK = "***"


def compose(
    *,
    dotenv: Iterable[Assignment],
    operating_system: Mapping[str, str],
    config: Mapping[str, str],
    given: Mapping[str, str],
    path: str = ".env",
) -> dict[str, str]:
    """The environment of a process.

    `given` (what the run stage sets, service URLs included) wins over `config` vars, these over the variables
    of the `operating_system`, these over `.env`; only WEB_CONCURRENCY is given as a mere default. `${NAME}`
    in `dotenv` refers to earlier lines, then to all the others by the same precedence. Raises Problem, with
    `path` and line, where it refers to none of them.
    """
    outer = {name: value for name, value in operating_system.items() if name not in _NEVER_INHERITED}
    defaults = {name: value for name, value in given.items() if name in _DEFAULTS}
    fixed = {name: value for name, value in given.items() if name not in _DEFAULTS}
    known = defaults | outer | dict(config) | fixed
    own = {name: value for name, value in resolve(dotenv, known, path).items() if name not in _NEVER_INHERITED}
    return defaults | own | outer | dict(config) | fixed


def parse_assignment(text: str) -> tuple[str, str]:
    """Name and value from `NAME=VALUE`, the value taken as it is.

    Raises Problem for a missing `=`, a bad name, a name that only the run stage sets, and a value that no
    process could be given. Messages never show the value, which may be secret.
    """
    name, equals, value = text.partition("=")
    if not equals:
        # Without `=` the text may be a value, and secret: it is shown only if it can be a name.
        is_name = VARIABLE.fullmatch(name) is not None and len(name) <= 40
        raise Problem(f"a config var is set as {name if is_name else 'NAME'}=VALUE; the `=` is missing.")
    check_name(name)
    if "\0" in value:
        raise Problem(f"{name}: the value holds a NUL byte, which no variable can hold.")
    if byte_length(value) + len(name) + 1 > MAX_STRING:
        raise Problem(f"{name}: the value is longer than a variable can be ({MAX_STRING} bytes with its name).")
    return name, value


def check_name(name: str) -> None:
    """Raises Problem for a name that no config var can have."""
    if not VARIABLE.fullmatch(name):
        raise Problem(f"{shown(name)} is no name of a config var; use letters, digits and `_`, the first no digit.")
    if name in GIVEN:
        raise Problem(f"{name} is given to every process by its formation; a config var cannot change it.")


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable's value should not be shown: by its name (KEY, SECRET, TOKEN, PASSWORD, DSN …), or
    because it is a private key or a URL with a password."""
    upper = name.upper()
    words = upper.split("_")
    harmless = upper in _NOT_SECRET or words[-1] in _ABOUT_SECRETS or "PUBLIC" in words
    by_name = not harmless and any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDS) for word in words)
    return value != "" and (by_name or _URL_PASSWORD.search(value) is not None or _PRIVATE.search(value) is not None)


def shown_value(name: str, value: str) -> str:
    """The value as it may be shown: `***` for what looks secret by its name, URLs without their passwords."""
    if value and (looks_secret(name, "x") or _PRIVATE.search(value)):
        return _MASK
    return _URL_PASSWORD.sub(lambda match: match[0].replace(f":{match[1]}@", f":{_MASK}@"), value)


def secrets_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The texts that `mask` should strike out: values that look secret, their lines where they have several
    (a PEM key is logged line by line), and the passwords in their URLs; longest first, so that a part never
    hides a whole."""
    found: set[str] = set()
    for name, value in environment.items():
        if looks_secret(name, value):
            found.update((value, *value.splitlines(), *(match[1] for match in _URL_PASSWORD.finditer(value))))
    stripped = {text.strip() for text in found}
    return tuple(
        sorted((text for text in stripped if len(text) >= _SHORTEST_MASKED), key=lambda text: (-len(text), text))
    )


def mask(text: str, secrets: Iterable[str]) -> str:
    """`text` with each of `secrets` (longest first, as `secrets_of` gives them) replaced by `***`.

    Secrets of fewer than six characters are left: striking out every `1` would make logs useless.
    """
    for secret in secrets:
        if len(secret) >= _SHORTEST_MASKED and secret in text:
            text = text.replace(secret, _MASK)
    return text

"""What a build command is given: what it needs to find programs and packages, and nothing of the run stage.

A build must come out the same whoever runs it, and a secret that it never saw cannot end up in an asset. So config
vars, service URLs and `.env` stay out, and of the operating system's variables only those named here come in
(twelve-factor app, V: build, release, run; Reproducible Builds, SOURCE_DATE_EPOCH).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from fungible.app.environment import looks_secret

_PASSED = frozenset(
    {
        *("PATH", "NODE_ENV", "NODE_PATH", "NODE_OPTIONS", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "CI"),
        *("JAVA_HOME", "GOROOT", "GOPROXY", "CARGO_HOME", "RUSTUP_HOME", "GEM_HOME", "GEM_PATH", "BUNDLE_PATH"),
        *("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("NIX_SSL_CERT_FILE", "NIX_PATH", "LD_LIBRARY_PATH", "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS"),
        *("SOURCE_DATE_EPOCH", "DJANGO_SETTINGS_MODULE"),
    }
)
_PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"})
_PASSED_FAMILIES = ("NPM_CONFIG_", "PIP_", "UV_", "YARN_", "PNPM_", "BUN_", "VITE_", "PUBLIC_")
_FIXED = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"}
_QUIET = {"npm_config_update_notifier": "false", "npm_config_fund": "false", "npm_config_audit": "false"}
_OF_THE_MACHINE = frozenset(
    {"PATH", "LD_LIBRARY_PATH", "npm_config_cache", "npm_config_userconfig", "XDG_CACHE_HOME"}
)
_EPOCH = "1704067200"
"""2024-01-01, for tools that write a time: what a build makes does not depend on when it is made."""


def build_environment(operating_system: Mapping[str, str], cache: Path, home: Path | None) -> dict[str, str]:
    """The variables of a build command, besides those that every process is given.

    `cache` is a folder that package installers may keep downloads in; `home` the user's own, whose `.npmrc` says
    where packages come from.
    """
    found = {name: value for name, value in operating_system.items() if _passes(name, value)}
    found = {"SOURCE_DATE_EPOCH": _EPOCH} | _QUIET | found | _FIXED
    found |= {"XDG_CACHE_HOME": str(cache), "npm_config_cache": str(cache / "npm")}
    if home is not None and (home / ".npmrc").is_file():
        found.setdefault("npm_config_userconfig", str(home / ".npmrc"))
    return found


def _passes(name: str, value: str) -> bool:
    upper = name.upper()
    if upper in _PROXIES:  # a password in it is the proxy's, and without it nothing can be fetched
        return True
    return (name in _PASSED or upper.startswith(_PASSED_FAMILIES)) and not looks_secret(name, value)


def telling(environment: Mapping[str, str]) -> dict[str, str]:
    """Those of the variables that a build may come out differently by, wherever its machine keeps its programs."""
    return {
        name: value
        for name, value in environment.items()
        if name not in _OF_THE_MACHINE and name.upper() not in _PROXIES and "CERT" not in name and "_CA_" not in name
    }


def withheld_name(output: Iterable[str], names: Iterable[str]) -> str | None:
    """The variable, of those that were kept from a build command, that its `output` complains of."""
    text = "\n".join(output)
    words = set(re.findall(r"[A-Z][A-Z0-9_]{3,}", text))
    return next(iter(sorted(words & set(names))), None)

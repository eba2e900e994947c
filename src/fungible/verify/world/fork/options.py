"""Which options of the known servers take no value; every other option takes one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """`flags` are long options without a value, `short_flags` letters without one; `no-...` is always a flag."""

    flags: frozenset[str]
    short_flags: str = ""

    def is_flag(self, name: str) -> bool:
        """Whether `--name` stands alone."""
        return name in self.flags or name.startswith("no-")


def _options(flags: str, short_flags: str = "") -> Options:
    return Options(frozenset(flags.split()), short_flags)


OPTIONS = {
    "gunicorn": _options(
        "help version check-config print-config reload spew preload daemon reuse-port capture-output initgroups"
        " log-syslog disable-redirect-access-to-syslog enable-stdio-inheritance strip-header-spaces"
        " suppress-ragged-eofs do-handshake-on-connect permit-unconventional-http-method"
        " permit-unconventional-http-version permit-obsolete-folding casefold-http-method",
        "hvDR",
    ),
    "uvicorn": _options(
        "help version reload factory use-colors access-log proxy-headers server-header date-header reset-contextvars"
    ),
    "hypercorn": _options("help version reload debug daemon", "hD"),
    "granian": _options(
        "help version factory reload access-log log ws respawn-failed-workers workers-kill-on-rss"
        " blocking-threads-auto http1-keep-alive http2-adaptive-window ssl-client-verify"
        " process-reload static-precompressed metrics"
        " uvloop rloop pid-lock"
    ),
    "waitress-serve": _options(
        "help call log-untrusted-proxy-headers clear-untrusted-proxy-headers expose-tracebacks asyncore-use-poll"
    ),
    "flask": _options("help version debug reload debugger with-threads without-threads"),
}

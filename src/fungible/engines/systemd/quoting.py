"""Texts in the syntax of systemd: words of a command line (systemd.service, "Command lines"; systemd.syntax,
"Quoting") and lines of an environment file (systemd.exec, `EnvironmentFile=`)."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x01-\x1f\x7f]")
_SPECIAL = re.compile(r'[\\"`$]')


def word(text: str) -> str:
    """`text` as one word of an `Exec` line, that reaches the program unchanged.

    Inside quotes systemd still unescapes backslashes, expands specifiers (`%`) and replaces variables (`$`).
    """
    return f'"{inner(text)}"'


def inner(text: str) -> str:
    """The same without its quotes, to be part of a longer word."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", escaped)


def assignment(name: str, value: str) -> str:
    """A line (or some, where the value has several) of an environment file.

    In double quotes a backslash escapes itself, the quote, `$` and the backtick, and is kept before all others.
    """
    return f'{name}="{_SPECIAL.sub(lambda match: chr(92) + match[0], value)}"\n'

"""FU402: affinity in HAProxy.

`balance source`, a `balance` by a client's header or cookie, `cookie` with a mode, `stick on` and `stick match` send
a client to one server (sections 4.2 and 5.1 of HAProxy's configuration manual). A `stick-table` alone counts, for
example for a limit of rates; `balance uri` is locality of a cache. Neither is affinity.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from fungible.check.finding import Finding, Level, Rule
from fungible.check.manifests import clients
from fungible.check.manifests.project import Project
from fungible.check.manifests.syntax.words import Line, lines
from fungible.check.source import Source

FU402 = Rule(
    id="FU402",
    title="HAProxy keeps a client at one process",
    why="Affinity hides state in a process until that process ends or another one is added; then it is gone.",
    mend="Use `balance roundrobin` or `leastconn`, without `cookie` and `stick on`. What a client needs belongs into"
    " a backing service.",
    topic="session-in-memory",
    wrong="backend app\n    mode http\n    balance source\n    server a 10.0.0.1:8000\n    server b 10.0.0.2:8000\n",
    right="backend app\n    mode http\n    balance leastconn\n"
    "    server a 10.0.0.1:8000\n    server b 10.0.0.2:8000\n",
)
RULES = (FU402,)

_SECTION = re.compile(r"^(?:backend|listen|defaults|frontend)\b", re.MULTILINE)
_SAID = re.compile(
    r"^[ \t]+(?:server|server-template|bind|mode|balance|default_backend|timeout)[ \t]+\S", re.MULTILINE
)
_SECTIONS = frozenset(
    {"global", "defaults", "frontend", "backend", "listen", "resolvers", "peers", "userlist", "program", "cache"}
    | {"mailers", "ring", "http-errors"}
)
_COOKIE_MODES = frozenset({"insert", "prefix", "rewrite"})
_CALL = re.compile(r"^([\w.-]+)(?:\(([^)]*)\))?")


@dataclass
class _Section:
    """A section with what its lines say."""

    name: str
    mode: str
    balanced: bool = True
    found: list[tuple[Line, Level]] = field(default_factory=list)
    servers: int = 0
    cookies: int = 0
    cookie: Line | None = None


def find(project: Project) -> Iterator[Finding]:
    """In HAProxy's own files, and in those that a ConfigMap holds."""
    for source in project.tree.named("*.cfg", "*.conf", "*haproxy*"):
        if not source.name.endswith((".yml", ".yaml", ".json", ".py", ".tf")) and _is_haproxy(source.text):
            yield from read(source)
    for source, above in project.held():
        if _is_haproxy(source.text):
            yield from read(source, above)


def read(source: Source, above: int = 0) -> Iterator[Finding]:
    """The findings of one text of HAProxy that stands below `above` lines of its file."""
    section = _Section("", "")
    default = ""
    for line in lines(source.text):
        if line.words[0] in _SECTIONS:
            yield from _told(section, source.path, above)
            kind, name = line.words[0], " ".join(line.words[:2])
            section = _Section(name, "" if kind == "defaults" else default)
            section.balanced = kind in ("defaults", "backend", "listen")
            continue
        if line.words[0] == "mode" and len(line.words) > 1:
            section.mode = line.words[1]
            if section.name.startswith("defaults"):
                default = line.words[1]
        _taken(section, line)
    yield from _told(section, source.path, above)


def _is_haproxy(text: str) -> bool:
    return bool(_SECTION.search(text) and _SAID.search(text))


def _taken(section: _Section, line: Line) -> None:
    words = line.words
    if words[0] in ("server", "server-template", "default-server"):
        section.servers += words[0] != "default-server"
        section.cookies += "cookie" in words[2:]
    elif words[0] == "cookie" and len(words) > 1:
        section.cookie = line
        section.found.append((line, Level.CERTAIN if _COOKIE_MODES & set(words[2:]) else Level.LIKELY))
    elif words[0] == "appsession" or (words[0] == "stick" and words[1:2] in (("on",), ("match",))):
        section.found.append((line, Level.CERTAIN))
    elif words[0] == "balance" and (level := _balanced(words[1:])) is not None:
        section.found.append((line, level))


def _balanced(words: tuple[str, ...]) -> Level | None:
    """Whether an algorithm places by client; None: it does not."""
    if not words:
        return None
    match = _CALL.match(words[0])
    name, argument = (match[1], match[2] or "") if match else ("", "")
    if name == "source":
        return Level.CERTAIN
    if name == "hdr":
        return clients.header(argument)
    if name == "url_param" and len(words) > 1:
        return clients.header(words[1])
    if name == "hash" and len(words) > 1:
        return _sampled(words[1])
    return Level.POSSIBLE if name == "rdp-cookie" else None


def _sampled(expression: str) -> Level | None:
    match = _CALL.match(expression)
    name, argument = (match[1], match[2] or "") if match else ("", "")
    if name == "src" or name.endswith("cook"):
        return Level.CERTAIN
    return clients.header(argument.partition(",")[0]) if "hdr" in name else None


def _told(section: _Section, path: str, above: int) -> Iterator[Finding]:
    if not section.balanced:
        return
    dynamic = section.cookie is not None and "dynamic" in section.cookie.words
    for line, level in section.found:
        # Streams of TCP are most often databases and brokers, which have reasons of their own; a cookie that no
        # server is named by keeps nobody.
        idle = line is section.cookie and section.servers > 0 and not section.cookies and not dynamic
        sure = Level.POSSIBLE if section.mode == "tcp" or idle else level
        text = " ".join(line.words)[:80]
        message = f"`{text}` in `{section.name}` keeps a client at one server"
        yield Finding("FU402", sure, path, line.line + above, message, f"{section.name}.{line.words[0]}", line.column)

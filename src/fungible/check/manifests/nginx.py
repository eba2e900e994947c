"""FU401: affinity in nginx.

`ip_hash`, `sticky` and a `hash` whose key tells clients apart send a client to one server; see the modules
ngx_http_upstream_module and ngx_stream_upstream_module of nginx's manual. A `hash` over what is asked for
(`$request_uri`) is locality of a cache, and no affinity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.manifests import clients
from fungible.check.manifests.project import Project
from fungible.check.manifests.syntax.blocks import Directive, directives
from fungible.check.source import Source

FU401 = Rule(
    id="FU401",
    title="nginx keeps a client at one process",
    why="Affinity hides state in a process until that process ends or another one is added; then it is gone.",
    mend="Take the directive out: round robin, or `least_conn`. What a client needs belongs into a backing service.",
    topic="session-in-memory",
    wrong="upstream app {\n    ip_hash;\n    server app1:8000;\n    server app2:8000;\n}\n",
    right="upstream app {\n    least_conn;\n    server app1:8000;\n    server app2:8000;\n}\n",
)
RULES = (FU401,)

_NAMED = ("*.conf", "*nginx*", "*/sites-available/*", "*/sites-enabled/*")
_UPSTREAM = re.compile(r"^[ \t]*upstream[ \t]+[^\s{;]+\s*\{", re.MULTILINE)
_OTHERS = (".py", ".yml", ".yaml", ".json", ".tf", ".toml", ".cfg", ".ini")
_WORDS = {"session_sticky": Level.CERTAIN, "sticky_cookie_insert": Level.CERTAIN, "jvm_route": Level.CERTAIN}


def find(project: Project) -> Iterator[Finding]:
    """In nginx's own files, and in those that a ConfigMap holds."""
    for source in project.tree.named(*_NAMED):
        if not source.name.endswith(_OTHERS) and _UPSTREAM.search(source.text):
            yield from read(source)
    for source, above in project.held():
        if _UPSTREAM.search(source.text):
            yield from read(source, above)


def read(source: Source, above: int = 0) -> Iterator[Finding]:
    """The findings of one text of nginx that stands below `above` lines of its file."""
    said = tuple(directives(source.text))
    meant = _maps(said)
    for each in said:
        upstream = each.within[-1] if each.within else ()
        if len(upstream) < 2 or upstream[0] != "upstream" or each.block:
            continue
        found = _affinity(each, meant)
        if found is None:
            continue
        # Streams are most often databases and brokers, which have reasons of their own.
        level = Level.POSSIBLE if any(block[0] == "stream" for block in each.within) else found
        text = " ".join(each.words)[:80]
        message = f"`{text}` keeps a client at one server of upstream {upstream[1]}"
        yield Finding(
            "FU401", level, source.path, each.line + above, message, f"{upstream[1]}.{each.name}", each.column
        )


def _affinity(said: Directive, meant: dict[str, Level]) -> Level | None:
    if said.name == "ip_hash":
        return Level.CERTAIN
    if said.name == "sticky":
        return Level.CERTAIN
    if said.name in ("hash", "consistent_hash") and len(said.words) > 1:
        by = clients.key(said.words[1])
        return by or meant.get(said.words[1].strip("${}"))
    return _WORDS.get(said.name)


def _maps(said: Iterable[Directive]) -> dict[str, Level]:
    """Variables that a `map` makes of what tells clients apart."""
    found = {}
    for each in said:
        if each.name == "map" and each.block and len(each.words) == 3 and clients.key(each.words[1]):
            found[each.words[2].strip("${}")] = Level.LIKELY
    return found

"""FU403 in Caddy: `lb_policy` by address, cookie or a client's header, in a Caddyfile, in JSON and in labels.

See `reverse_proxy` in Caddy's manual. `uri_hash` and `query` are by what is asked for: no affinity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fungible.check.finding import Finding, Level
from fungible.check.manifests import clients
from fungible.check.manifests.project import Project
from fungible.check.manifests.proxies import finding, labels
from fungible.check.manifests.syntax.words import lines

_NAMED = ("Caddyfile*", "*.caddy", "*.caddyfile", "*.Caddyfile")


def find(project: Project) -> Iterator[Finding]:
    """In Caddyfiles, JSON and labels."""
    for source in project.tree.named(*_NAMED):
        for line in lines(source.text):
            if line.words[0] == "lb_policy" and (level := _placed(line.words[1:])):
                message = f"`{' '.join(line.words)[:80]}` keeps a client at one upstream"
                yield Finding("FU403", level, source.path, line.line, message, "lb_policy", line.column)
    for document in project.documents:
        for way, node in document.root.mappings():
            if way and way[-1] == "selection_policy" and way[0] in ("apps", "handle", "routes"):
                level = _placed((node.string("policy"), node.string("field")))
                if level:
                    message = f'the selection policy "{node.string("policy")}" keeps a client at one upstream'
                    yield finding(document.path, node, level, message, "selection_policy")
    for document in project.compose:
        for name, service in document.root.get("services").pairs:  # type: ignore[union-attr]
            for place, key, value in labels(service):
                if key.startswith("caddy") and key.endswith(".lb_policy") and (level := _placed(value.split())):
                    message = f"the label `{key}` with `{value}` keeps a client at one process"
                    yield finding(document.path, place, level, message, f"{name.text}.lb_policy")


def _placed(words: Sequence[str]) -> Level | None:
    if not words:
        return None
    if words[0] in ("ip_hash", "client_ip_hash", "cookie"):
        return Level.CERTAIN
    return clients.header(words[1]) if words[0] == "header" and len(words) > 1 else None

"""FU403 in Apache: `stickysession=` of a balancer; see mod_proxy_balancer in Apache's manual."""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level
from fungible.check.manifests.project import Project
from fungible.check.manifests.syntax.words import lines

_DIRECTIVES = ("proxypass", "proxypassmatch", "proxyset", "balancermember", "<proxy")


def find(project: Project) -> Iterator[Finding]:
    """In every `.conf` and `.htaccess` that says so: the words are Apache's alone."""
    for source in project.tree.named("*.conf", ".htaccess"):
        if "stickysession" not in source.text.lower():
            continue
        for line in lines(source.text, joined=True):
            if line.words[0].lower() not in _DIRECTIVES:
                continue
            for word in line.words[1:]:
                name, _, value = word.partition("=")
                if name.lower() == "stickysession" and value:
                    message = f"`{word[:80]}` of `{line.words[0]}` keeps a client at one member of the balancer"
                    yield Finding(
                        "FU403",
                        Level.CERTAIN,
                        source.path,
                        line.line,
                        message,
                        f"stickysession.{value[:80]}",
                        line.column,
                    )

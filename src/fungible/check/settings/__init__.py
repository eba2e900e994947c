"""Rules over what frameworks, extensions and servers are told: FU201 to FU214, FU301 to FU303.

Read from Python source, which is never imported, and from Procfiles, Dockerfiles, compose files, shell scripts and
uwsgi's ini files. A value that comes from the environment is what it should be: only a local default of it is told,
as possible.
"""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Rule
from fungible.check.settings import (
    assets,
    caches,
    databases,
    django_cache,
    interfaces,
    jobs,
    limits,
    logs,
    metrics,
    oauth,
    servers,
    sessions,
    sockets,
    uploads,
)
from fungible.check.settings.project import Project
from fungible.check.tree import Tree

_FAMILIES = (
    django_cache,
    sessions,
    uploads,
    databases,
    sockets,
    jobs,
    limits,
    caches,
    metrics,
    interfaces,
    oauth,
    assets,
    logs,
    servers,
)

RULES: tuple[Rule, ...] = tuple(sorted((rule for each in _FAMILIES for rule in each.RULES), key=lambda rule: rule.id))


def find(tree: Tree) -> Iterator[Finding]:
    """The findings of this room's rules."""
    project = Project(tree)
    for family in _FAMILIES:
        yield from family.find(project)

"""Rules over proxies, clusters and images: affinity (FU401 to FU406), disks of web processes (FU501, FU502).

FU301, which is stated with the rules over servers' commands, is found here in manifests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from fungible.check.finding import Finding, Rule
from fungible.check.manifests import (
    apache,
    azure,
    caddy,
    clouds,
    compose,
    dockerfile,
    envoy,
    haproxy,
    kubernetes,
    nginx,
    pods,
    proxies,
    terraform,
    traefik,
    volumes,
)
from fungible.check.manifests.project import Project
from fungible.check.manifests.syntax.nodes import TEMPLATE
from fungible.check.tree import Tree

_FAMILIES = (
    nginx,
    haproxy,
    traefik,
    caddy,
    apache,
    envoy,
    kubernetes,
    terraform,
    clouds,
    azure,
    dockerfile,
    compose,
    pods,
)

_PRINTED = re.compile(rf"(?:{TEMPLATE})+")

RULES: tuple[Rule, ...] = (
    nginx.FU401,
    haproxy.FU402,
    proxies.FU403,
    kubernetes.FU404,
    clouds.FU405,
    azure.FU406,
    volumes.FU501,
    volumes.FU502,
)


def find(tree: Tree) -> Iterator[Finding]:
    """The findings of this room's rules."""
    project = Project(tree)
    for family in _FAMILIES:
        for found in family.find(project):
            yield replace(found, message=_PRINTED.sub("{{...}}", found.message))

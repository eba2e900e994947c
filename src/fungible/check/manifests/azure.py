"""FU406: affinity of Azure, which an App Service has unless `clientAffinityEnabled` is false (the default is true).

Read from ARM templates; Terraform's resources, whose default is false, are in `terraform`. A function app has none by
default. Bicep is not read.
"""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.manifests.project import Document, Project
from fungible.check.manifests.syntax.nodes import Node

FU406 = Rule(
    id="FU406",
    title="Azure keeps a client at one instance",
    why="App Service sends a client back to its instance by a cookie unless it is told not to; state in an instance"
    " is hidden until that instance ends.",
    mend="Set clientAffinityEnabled to false (`client_affinity_enabled = false` in Terraform).",
    topic="session-in-memory",
    wrong='resource "azurerm_linux_web_app" "shop" {\n  name                    = "shop"\n'
    "  client_affinity_enabled = true\n}\n",
    right='resource "azurerm_linux_web_app" "shop" {\n  name                    = "shop"\n'
    "  client_affinity_enabled = false\n}\n",
)
RULES = (FU406,)

_VALUES = {
    "cookieBasedAffinity": ("Enabled",),
    "loadDistribution": ("SourceIP", "SourceIPProtocol"),
    "sessionAffinityState": ("Enabled",),
    "sessionAffinityEnabledState": ("Enabled",),
}


def find(project: Project) -> Iterator[Finding]:
    """In each resource of a template."""
    for document in project.documents:
        arm = "deploymentTemplate" in document.root.string("$schema")
        for way, node in document.root.mappings():
            if arm and node.string("type") in ("Microsoft.Web/sites", "Microsoft.Web/sites/slots"):
                yield from _site(document, node)
            elif way[-1:] == ("stickySessions",) and node.string("affinity") == "sticky":
                yield _finding(
                    document, node, Level.CERTAIN, "`stickySessions` keeps a client at one replica", "affinity"
                )
            for key, value in node.pairs if arm else ():
                if value.text in _VALUES.get(key.text or "", ()):
                    message = f"`{key.text}: {value.text}` keeps a client at one backend"
                    yield _finding(document, key, Level.CERTAIN, message, key.text or "")


def _site(document: Document, node: Node) -> Iterator[Finding]:
    properties = node.get("properties")
    if "functionapp" in node.string("kind") or properties is None:
        return
    name = node.string("name")[:80] or "site"
    value = properties.string("clientAffinityEnabled")
    if (key := properties.key("clientAffinityEnabled")) is None:
        message = f"the App Service {name} does not switch client affinity off"
        yield _finding(document, node, Level.LIKELY, message, f"{name}.clientAffinityEnabled")
    elif value != "false":
        level = Level.CERTAIN if value == "true" else Level.POSSIBLE
        message = f"`clientAffinityEnabled` of the App Service {name} is {value or 'set'}"
        yield _finding(document, key, level, message, f"{name}.clientAffinityEnabled")


def _finding(document: Document, place: Node, level: Level, message: str, symbol: str) -> Finding:
    return Finding("FU406", level, document.path, place.line, message, symbol, place.column)

"""FU405: affinity of a cloud's load balancer: CloudFormation, Ansible, App Engine, Cloud Run, Heroku.

Terraform's resources are in `terraform`.
"""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.manifests.project import Document, Project
from fungible.check.manifests.syntax.nodes import Node

FU405 = Rule(
    id="FU405",
    title="the cloud's load balancer keeps a client at one process",
    why="Affinity hides state in a process until that process ends or another one is added; then it is gone.",
    mend="Switch stickiness or session affinity off. What a client needs belongs into a backing service.",
    topic="session-in-memory",
    wrong='resource "aws_lb_target_group" "app" {\n  port = 80\n  stickiness {\n    type = "lb_cookie"\n  }\n}\n',
    right='resource "aws_lb_target_group" "app" {\n  port = 80\n  stickiness {\n    type    = "lb_cookie"\n'
    "    enabled = false\n  }\n}\n",
)
RULES = (FU405,)

_CLASSIC = ("LBCookieStickinessPolicy", "AppCookieStickinessPolicy")


def find(project: Project) -> Iterator[Finding]:
    """In templates and in the settings of platforms."""
    for document in project.documents:
        yield from _template(document)
        name = document.path.rpartition("/")[2]
        if name.startswith("app") and document.root.string("network", "session_affinity") == "true":
            network = document.root.get("network")
            key = network.key("session_affinity") if network else None
            message = "`session_affinity: true` keeps a client at one instance of App Engine"
            yield _finding(document, key or document.root, message, "session_affinity")
    for source in project.tree.named("app.json"):
        for number, line in enumerate(source.lines, start=1):
            if "features:enable" in line and (column := line.find("http-session-affinity")) >= 0:
                message = "session affinity of Heroku is switched on"
                yield Finding(
                    "FU405", Level.CERTAIN, source.path, number, message, "http-session-affinity", column + 1
                )


def _template(document: Document) -> Iterator[Finding]:
    for way, node in document.root.mappings():
        own = way[1] if way[:1] == ("Resources",) and len(way) > 1 else document.name or "template"
        for key, value in node.pairs:
            if key.text == "run.googleapis.com/sessionAffinity" and value.text == "true":
                message = "`run.googleapis.com/sessionAffinity` keeps a client at one instance of Cloud Run"
                yield _finding(document, key, message, f"{own}.sessionAffinity")
            elif key.text in _CLASSIC and way[:1] == ("Resources",) and value.items:
                yield _finding(document, key, f"`{key.text}` keeps a client at one instance", f"{own}.{key.text}")
            elif key.text == "stickiness_enabled" and (value.text or "").lower() in ("true", "yes"):
                message = "`stickiness_enabled` keeps a client at one target"
                yield _finding(document, key, message, f"{own}.stickiness_enabled")
        yield from _option(document, node, own)


def _option(document: Document, node: Node, own: str) -> Iterator[Finding]:
    """An attribute of a target group, or an option of Elastic Beanstalk."""
    name = node.string("Key") or node.string("OptionName")
    if name in ("stickiness.enabled", "StickinessEnabled") and node.string("Value") == "true":
        yield _finding(document, node, f"`{name}` of {own} keeps a client at one target", f"{own}.{name}")


def _finding(document: Document, place: Node, message: str, symbol: str) -> Finding:
    return Finding("FU405", Level.CERTAIN, document.path, place.line, message, symbol, place.column)

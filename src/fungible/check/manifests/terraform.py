"""FU405, FU404 and FU406 in Terraform: what each resource calls the affinity of its load balancer.

The words are those of each provider's reference. The stickiness of a listener's `forward` is between target groups,
and none of this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fungible.check.finding import Finding, Level
from fungible.check.manifests.project import Project
from fungible.check.manifests.syntax.hcl import Attribute, Block

# Resource -> way to the attribute -> values that are affinity. `*`: whatever is no reference and not off.
_ATTRIBUTES: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    (r"google_compute_(region_)?backend_service|google_compute_target_pool", (), "session_affinity", "*"),
    (r"google_cloud_run_v2_service", ("template",), "session_affinity", "true"),
    (r"google_app_engine_flexible_app_version", ("network",), "session_affinity", "true"),
    (r"cloudflare_load_balancer", (), "session_affinity", "*"),
    (r"digitalocean_loadbalancer", ("sticky_sessions",), "type", "cookies"),
    (r"hcloud_load_balancer_service", ("http",), "sticky_sessions", "true"),
    (r"linode_nodebalancer_config", (), "stickiness", "*"),
    (r"openstack_lb_pool_v2", ("persistence",), "type", "*"),
    (r"scaleway_lb_backend", (), "sticky_sessions", "*"),
    (r"alicloud_slb_listener", (), "sticky_session", "on"),
    (r"vultr_load_balancer", (), "cookie_name", "*"),
    (r"azurerm_application_gateway", ("backend_http_settings",), "cookie_based_affinity", "Enabled"),
    (r"azurerm_lb_rule", (), "load_distribution", "SourceIP|SourceIPProtocol"),
    (r"azurerm_cdn_frontdoor_origin_group", (), "session_affinity_enabled", "true"),
    (r"kubernetes_service(_v1)?", ("spec",), "session_affinity", "ClientIP"),
)
_BLOCKS = {
    "oci_load_balancer_backend_set": (
        "session_persistence_configuration",
        "lb_cookie_session_persistence_configuration",
    ),
    "kubernetes_manifest": (),
}
_POLICIES = ("aws_lb_cookie_stickiness_policy", "aws_app_cookie_stickiness_policy")
_APP_SERVICES = re.compile(r"azurerm_(?:linux_web_app|windows_web_app|app_service)(?:_slot)?")
_REFERENCE = re.compile(r"^[A-Za-z_]\w*\.|[?(\[]|\$\{")
_SAID_OF_COOKIES = ("type", "cookie_duration", "cookie_name")
# By each connection, not by client.
_OFF = frozenset({"", "none", "NONE", "None", "off", "false", "null", "CLIENT_IP_PORT_PROTO", "5"})
_CLOUD_RUN = "run.googleapis.com/sessionAffinity"


def find(project: Project) -> Iterator[Finding]:
    """In each resource and module."""
    for path, block in project.blocks:
        labels = (*block.labels, "", "")
        if labels[0] == "module":
            yield from _module(path, block)
        elif labels[0] == "resource":
            yield from _resource(path, block, labels[1])


def _resource(path: str, block: Block, kind: str) -> Iterator[Finding]:
    if kind in ("aws_lb_target_group", "aws_alb_target_group"):
        for each in block.named("stickiness"):
            yield from _stickiness(path, block, each, Level.CERTAIN)
    elif kind in _POLICIES:
        yield _finding("FU405", path, block, block, Level.CERTAIN, f"`{kind}` keeps a client at one instance", kind)
    elif kind == "heroku_app_feature" and block.value("name") == "http-session-affinity":
        if block.value("enabled") != "false":
            yield _finding("FU405", path, block, block, Level.CERTAIN, "session affinity of Heroku is on", "affinity")
    elif kind == "aws_elastic_beanstalk_environment":
        for setting in block.named("setting"):
            if setting.value("name") == "StickinessEnabled" and setting.value("value") == "true":
                message = "`StickinessEnabled` keeps a client at one instance"
                yield _finding("FU405", path, block, setting, Level.CERTAIN, message, "StickinessEnabled")
    elif _APP_SERVICES.fullmatch(kind):
        yield from _attribute("FU406", path, block, block, "client_affinity_enabled", "true")
    elif kind == "google_cloud_run_service":
        for each in block.everywhere():
            yield from _attribute("FU405", path, block, each, _CLOUD_RUN, "true")
    for inner in (each for name in _BLOCKS.get(kind, ()) for each in block.named(name)):
        message = f"`{inner.labels[0]}` keeps a client at one backend"
        yield _finding("FU405", path, block, inner, Level.CERTAIN, message, inner.labels[0])
    for kinds, way, name, values in _ATTRIBUTES:
        if re.fullmatch(kinds, kind):
            places = [block]
            for step in way:
                places = [inner for each in places for inner in each.named(step)]
            rule = "FU404" if kind.startswith("kubernetes") else "FU405"
            for each in places:
                yield from _attribute(rule, path, block, each, name, values)


def _attribute(rule: str, path: str, block: Block, within: Block, name: str, values: str) -> Iterator[Finding]:
    found = within.attribute(name)
    if found is None:
        return
    if _REFERENCE.search(found.value):
        level = Level.POSSIBLE
    elif found.value in _OFF or (values != "*" and not re.fullmatch(values, found.value)):
        return
    else:
        level = Level.CERTAIN
    message = f"`{name} = {found.value[:80]}` keeps a client at one process"
    yield _finding(rule, path, block, found, level, message, name)


def _stickiness(path: str, block: Block, stickiness: Block, sure: Level) -> Iterator[Finding]:
    """A block is on unless it says `enabled = false`."""
    enabled = stickiness.value("enabled")
    if enabled == "false":
        return
    level = Level.POSSIBLE if _REFERENCE.search(enabled) else sure
    message = f"`stickiness` of {'.'.join(block.labels[1:])} keeps a client at one target"
    yield _finding("FU405", path, block, stickiness, level, message, "stickiness")


def _module(path: str, block: Block) -> Iterator[Finding]:
    for inner in block.everywhere():
        # The stickiness of a `forward` has none of these.
        of_target = any(inner.attribute(each) for each in _SAID_OF_COOKIES)
        if inner.labels == ("stickiness",) and inner.value("enabled") == "true" and of_target:
            yield from _stickiness(path, block, inner, Level.LIKELY)
        elif inner.attribute("client_affinity_enabled"):
            yield from _attribute("FU406", path, block, inner, "client_affinity_enabled", "true")


def _finding(
    rule: str, path: str, block: Block, place: Block | Attribute, level: Level, message: str, name: str
) -> Finding:
    symbol = ".".join((*block.labels[1:], name))
    return Finding(rule, level, path, place.line, message, symbol, place.column)

"""What every log of SARIF 2.1.0 (OASIS standard) has in common. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fungible import __version__

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_CHECKOUT = {"%SRCROOT%": {"description": {"text": "The root of the checkout."}}}

Object = dict[str, Any]


def log(runs: Sequence[Object]) -> Object:
    """A log of these runs."""
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": list(runs)}


def run(
    tool: str,
    id: str,
    *,
    rules: Sequence[Object],
    results: Sequence[Object],
    notices: Sequence[Object],
    successful: bool = True,
    bases: Mapping[str, Object] | None = None,
) -> Object:
    """A run of the command `tool` (`check`) that later runs with the same `id` replace. `bases` are what paths may
    start from beside the root of the checkout (`%SRCROOT%`)."""
    return {
        "tool": {
            "driver": {
                "name": f"fungible {tool}",
                "semanticVersion": "0.0.0" if "dev" in __version__ else __version__,
                "version": __version__,
                "rules": list(rules),
            }
        },
        "automationDetails": {"id": f"fungible-{tool}/{id}"},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {**_CHECKOUT, **(bases or {})},
        "invocations": [{"executionSuccessful": successful, "toolExecutionNotifications": list(notices)}],
        "results": list(results),
    }

"""Plain data as YAML that people read and that every reader of YAML reads alike, and comments beside it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import Any

import yaml

_WIDTH = 110
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./:@-]*[A-Za-z0-9_/]|[A-Za-z]")
_QUANTITY = re.compile(r"[0-9]+(m|Ki|Mi|Gi|%)")
# Words of YAML 1.1 and 1.2 that readers take for something else than text.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})


def comment(text: str) -> str:
    """Lines of a comment, as YAML and units have them."""
    lines = textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return "".join(f"# {line}\n" for line in lines)


def readable(body: Mapping[str, Any]) -> str:
    """The data as one document, in the order that it has."""
    text: str = yaml.dump(body, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf"))
    return text


class _Dumper(yaml.SafeDumper):
    """Without anchors, which few who read manifests know, and with quotes wherever some reader of YAML could take a
    text for a number or a truth value (`1e3` is text in PyYAML and a number in Kubernetes')."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = _QUANTITY.fullmatch(text) or (_PLAIN.fullmatch(text) and text.lower() not in _WORDS)
    style = None if plain else "|" if "\n" in text else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)

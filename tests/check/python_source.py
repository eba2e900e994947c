"""Small programs for the rules over Python, and what is found in them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from fungible.check.finding import Finding, Level
from fungible.check.python import rules
from fungible.check.tree import Tree

FLASK = """
import asyncio, hashlib, os, secrets, sqlite3, tempfile
from functools import lru_cache
from threading import Thread
from fastapi import WebSocket
from flask import Flask, request, session
app = Flask(__name__)
"""


def found(*texts: str, level: Level = Level.LIKELY, **files: str) -> list[Finding]:
    """Findings of at least `level`; `texts` are `shop.py` together, `files` are modules by name (`views`, or
    `shop__views` for `shop/views.py`)."""
    shop = {"shop": "".join(map(textwrap.dedent, texts))} if texts else {}
    return found_in({**files, **shop}, level)


def found_in(files: Mapping[str, str], level: Level = Level.LIKELY) -> list[Finding]:
    """Findings of at least `level` in these modules by name."""
    pairs = [(f"{name.replace('__', '/')}.py", textwrap.dedent(text)) for name, text in files.items()]
    return [each for each in rules.find(Tree.of(pairs)) if each.level >= level]


def rules_of(findings: list[Finding]) -> set[str]:
    """The ids of the rules that found something."""
    return {each.rule for each in findings}

"""What a path or a name says about where it counts: in production, in development, in tests."""

from __future__ import annotations

import re
from enum import Enum

_TESTS = frozenset({"test", "tests", "testing", "conftest", "pytest", "unittest", "ci", "e2e", "tox", "testsuite"})
_DEVELOPMENT = frozenset({"dev", "devel", "develop", "development", "local", "localhost", "debug", "override"})
_ASIDE = frozenset(
    {"example", "examples", "sample", "samples", "demo", "demos", "doc", "docs", "script", "scripts", "tools"}
    | {"bench", "benchmark", "benchmarks", "alembic", "migrations", "tutorial", "tutorials", "notebooks"}
    | {"template", "templates", "skeleton", "cookiecutter"}
)
_PRODUCTION = frozenset({"prod", "production", "live", "staging", "stage", "deploy", "heroku"})
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")


class Place(Enum):
    """`aside`: beside the app (examples, scripts, migrations), so that what stands there may not serve anybody."""

    PRODUCTION = "production"
    DEVELOPMENT = "development"
    TESTS = "tests"
    ASIDE = "aside"


def place(path: str) -> Place:
    """Where a file of the app counts, told by the words of its path."""
    *folders, name = path.split("/")
    words = {word for part in folders for word in _words(part)} | _words(name)
    if words & _TESTS:
        return Place.TESTS
    if _words(name) & _DEVELOPMENT:
        return Place.DEVELOPMENT
    return Place.ASIDE if words & _ASIDE else Place.PRODUCTION


def is_development(name: str) -> bool:
    """Whether a name (`DEBUG`, `is_testing`, `"local"`) means development or tests."""
    return bool(_words(name) & (_DEVELOPMENT | _TESTS)) and not _words(name) & _PRODUCTION


def is_production(name: str) -> bool:
    """Whether a name (`IS_PROD`, `"production"`) means that the app serves its users."""
    return bool(_words(name) & _PRODUCTION)


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}

"""The classes of state that a process can keep, each with a page about its mend."""

from __future__ import annotations

from collections.abc import Mapping

CLASSES: Mapping[str, str] = {
    "session-in-memory": "what belongs to a client (login, basket, form) is kept in a process's memory",
    "cache": "a process caches a value and does not learn that it was changed elsewhere",
    "counter-or-limiter": "every process counts for itself",
    "files": "a file on a process's own disk is needed by a later request",
    "process-setting": "a setting of the whole process is changed while a request is served",
    "secret-at-import": "every process makes a secret of its own when it starts",
    "hash-seed": "what hash() gives, or the order of a set, is another in every process",
    "job-status": "the state of a job is kept where only one process sees it",
    "settings-at-boot": "a value is read once, when a process starts",
    "assets-at-run-time": "a stylesheet, script or picture is made while requests are served",
    "class-attribute": "a mutable attribute of a class is shared by all its instances in one process",
    "background-work": "work promised to a client lives in one process, and ends with it",
    "store": "a backing service has another content when requests are spread",
}
"""Class -> what it is, in one sentence. Each has a page in docs/mend/."""


def page(name: str) -> str:
    """The page about a class, in the documentation."""
    return f"docs/mend/{name}.md"

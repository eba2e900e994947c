"""FU501 and FU502, and what a path in a web process's container is for."""

from __future__ import annotations

import re

from fungible.check.finding import Level, Rule

FU501 = Rule(
    id="FU501",
    title="a web process keeps files on a volume",
    why="A volume on one machine is not there for a process on another one; files that requests write to it are lost"
    " to the rest.",
    mend="Store files in an object store or the database. A cache belongs on a tmpfs that may be wiped.",
    topic="files",
    wrong="services:\n  web:\n    build: .\n    ports: ['8000:8000']\n    volumes:\n      - media:/app/media\n"
    "volumes:\n  media:\n",
    right="services:\n  web:\n    build: .\n    ports: ['8000:8000']\n    tmpfs: [/tmp]\n"
    "  db:\n    image: postgres:17\n    volumes:\n      - db:/var/lib/postgresql/data\nvolumes:\n  db:\n",
)
FU502 = Rule(
    id="FU502",
    title="the root file system of a web process is writable",
    why="What the app writes there by mistake works in one process, and is missing in the next one.",
    mend="Make it read-only (`read_only: true`, `readOnlyRootFilesystem: true`), with a tmpfs on /tmp.",
    topic="files",
    wrong="services:\n  web:\n    build: .\n    ports: ['8000:8000']\n",
    right="services:\n  web:\n    build: .\n    read_only: true\n    tmpfs: [/tmp]\n    ports: ['8000:8000']\n",
)

WEB_PORTS = frozenset(
    str(port)
    for port in (
        80,
        443,
        3000,
        3001,
        4000,
        4567,
        5000,
        5001,
        7000,
        7860,
        8000,
        8001,
        8008,
        8080,
        8081,
        8443,
        8501,
        8888,
        9000,
    )
)
WEB_SERVER = re.compile(
    r"\b(?:gunicorn|uvicorn|hypercorn|daphne|granian|uwsgi|waitress-serve|runserver|flask\s+run|fastapi\s+(?:run|dev)"
    r"|sanic|streamlit\s+run|puma|rails\s+s(?:erver)?|unicorn|npm\s+(?:run\s+)?start|next\s+start|php-fpm)\b"
)
_SYSTEM = re.compile(
    r"^/(?:proc|sys|dev|run|var/run|etc|lib|usr/(?!src)|boot|tmp|var/tmp|root/\.(?:aws|ssh|kube|docker|config|gnupg))(?:/|$)"
    r"|^/(?:var/log|host|rootfs)(?:/|$)|docker\.sock|\.sock$"
)
_CACHE = re.compile(
    r"(?i)(?:^|/|[_-])(?:\.?cache\w*|node_modules|\.?venv|virtualenv|vendor|bundle|\.next|\.nuxt|__pycache__|\.m2|\.npm"
    r"|\.yarn|\.pnpm-store|\.gradle|\.cargo|target|site-packages|pip|poetry|pypackages|gems?|go/pkg|tmp|temp|logs?|dist"
    r"|build|\.ruff_cache|\.mypy_cache|certs?|certificates?|ssl|tls|secrets?|config|conf|letsencrypt|acme|models?"
    r"|huggingface|sockets?|gunicorn|\.local|history|bash_?history|locale)(?:$|/|[_-])"
)
_ASSETS = re.compile(r"(?i)(?:^|/|[_-])(?:static\w*|assets|public|collected\w*|wwwroot|html)(?:$|/|[_-])")
_DATA = re.compile(
    r"(?i)(?:^|/|[_.-])(?:data|db|databases?|sqlite\d?|media\w*|uploads?|uploaded|storage|files?|attachments?|documents?"
    r"|instance|sessions?|state|store|userdata|user_files|images?|avatars?|reports?|exports?)(?:$|/|[_.-])"
)


def writable_level(target: str) -> Level | None:
    """How sure it is that a volume at this path holds what requests write; None: it is of another kind."""
    path = target.rstrip("/") or "/"
    if _SYSTEM.search(path) or _CACHE.search(path):
        return None
    return Level.POSSIBLE if _ASSETS.search(path) else Level.LIKELY


def bind_level(origin: str, target: str) -> Level | None:
    """The same for a folder of the machine: only what is named as data counts, as most are code or settings."""
    level = writable_level(target)
    last = [path.rstrip("/").rpartition("/")[2] for path in (origin, target)]
    if level is None or re.search(r"\.(?:conf|ya?ml|json|toml|ini|env|pem|crt|key|py|sh|txt)$", last[1]):
        return None
    return level if any(_DATA.search(each) for each in last) else None

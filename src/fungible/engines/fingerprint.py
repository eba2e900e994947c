"""The name of a release on an engine: the same for the same build and config vars, and telling nothing of them."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from fungible.services.place import write_private

_KEY = "engine.key"


def release_name(build: str, config: Mapping[str, str], state: Path) -> str:
    """`BUILD-CONFIG`, eight and six hexadecimal digits. The second part is keyed with a secret that is kept in the
    app's `state` folder, so that nobody can try values of config vars against it. Raises OSError."""
    path = state / _KEY
    if not path.exists():
        write_private(path, secrets.token_hex(32) + "\n")
    key = path.read_bytes()
    message = json.dumps(sorted(config.items())).encode()
    return f"{build[:8]}-{hmac.new(key, message, hashlib.sha256).hexdigest()[:6]}"

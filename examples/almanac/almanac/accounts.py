"""Who is asking: passwords, tries per minute, form tokens."""

import hashlib
import hmac

from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select
from werkzeug.security import check_password_hash, generate_password_hash

from almanac import settings
from almanac.database import User, reading
from almanac.store import client

TRIES_PER_MINUTE = 10
_TOKEN_SECONDS = 3600
_tokens = URLSafeTimedSerializer(settings.SECRET, salt="almanac form token")


def log_in(name: str, password: str) -> User | None:
    """Return the user with this name and password, or None."""
    with reading() as session:
        user = session.scalar(select(User).where(User.name == name))
    if user is None:
        generate_password_hash(password)  # so that an unknown name takes as long as a known one
        return None
    return user if check_password_hash(user.password_hash, password) else None


def may_try(name: str) -> bool:
    """Count one try to log in as `name`; False where it is one too many. The count is Valkey's, not ours."""
    key = f"tries:{name}"
    with client.pipeline(transaction=True) as steps:
        steps.set(key, 0, ex=60, nx=True)
        steps.incr(key)
        return int(steps.execute()[1]) <= TRIES_PER_MINUTE


def form_token(session_id: str) -> str:
    """Return a signed token that only forms shown in this session carry."""
    return _tokens.dumps(_mark(session_id))


def right_token(token: str, session_id: str | None) -> bool:
    try:
        owner = _tokens.loads(token, max_age=_TOKEN_SECONDS)
    except BadSignature:
        return False
    return session_id is not None and hmac.compare_digest(str(owner).encode(), _mark(session_id).encode())


def _mark(session_id: str) -> str:
    return hashlib.sha256(b"form " + session_id.encode()).hexdigest()[:32]

"""Users, their passwords, and tries per minute."""

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import select

from almanac.database import User, reading, writing
from almanac.store import client
from fungible_kit import Passwords, transaction_cache

TRIES_PER_MINUTE = 10
# OWASP's minimum for Argon2id (Password Storage Cheat Sheet): 19 MiB, 2 passes, one lane. The library's own (RFC
# 9106, second choice) fills 64 MiB in four threads: a login would hold every core of a small machine. What was stored
# with other parameters is right as before, and is hashed anew at the next login.
passwords = Passwords(hasher=PasswordHash((Argon2Hasher(memory_cost=19 * 1024, time_cost=2, parallelism=1),)))


@transaction_cache
def find(user_id: int) -> User | None:
    """The user with this id: asked of the database once a request, however often it is called."""
    with reading() as session:
        return session.get(User, user_id)


def with_password(name: str, password: str) -> User | None:
    """The user with this name and password, or None. Raises Busy where too many passwords wait to be checked."""
    with reading() as session:
        user = session.scalar(select(User).where(User.name == name))
    # An unknown name takes as long as a known one.
    checked = passwords.verify(password, user.password_hash if user else None)
    if user is None or not checked:
        return None
    if checked.rehash:
        with writing() as session:
            session.get_one(User, user.id).password_hash = checked.rehash
    return user


def may_try(name: str) -> bool:
    """Count one try to log in as `name`; False where it is one too many. The count is Valkey's, not ours."""
    key = f"tries:{name}"
    with client.pipeline(transaction=True) as steps:
        steps.set(key, 0, ex=60, nx=True)
        steps.incr(key)
        return int(steps.execute()[1]) <= TRIES_PER_MINUTE

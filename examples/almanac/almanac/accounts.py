"""Users, their passwords, and tries per minute."""

from sqlalchemy import select

from almanac.database import User, reading, writing
from almanac.store import client
from fungible_kit import Passwords, transaction_cache

TRIES_PER_MINUTE = 10
passwords = Passwords()


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

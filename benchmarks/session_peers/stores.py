"""The storage of other libraries behind the kit's `Store` protocol, as thin as can be, for its conformance cases.

What a request does is what the library does: it loads the session when it reads (`seen` is that view), changes the
loaded values and writes back all of them with the time to live that it has. What a library has no word for (a user,
an absolute limit, times) is kept among the session's values, as an app would; what it does not offer at all is
`Skipped`, and is not held against it.
"""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fungible_kit.sessions.conformance import Skipped
from fungible_kit.sessions.record import (
    GONE,
    Applied,
    Conflict,
    Listed,
    Move,
    Outcome,
    Patch,
    Record,
    Refused,
    applied,
)
from fungible_kit.sessions.stores import Caps

_HEAD, _OURS = "head", "f:"
_WORK = 0.001  # seconds that a request is at work between its read and its write
_REPEATS = 10  # of what is a race: one loss in ten is a loss


def to_values(record: Record) -> dict[str, Any]:
    """The session's values: ours as text, and the head."""
    values: dict[str, Any] = {_OURS + name: base64.b85encode(data).decode() for name, data in record.fields.items()}
    times = [record.created, record.absolute, record.touched, record.idle_at, record.rotated, record.version]
    return {**values, _HEAD: [*times, record.user]}


def to_record(values: dict[str, Any] | None, view: Any = None) -> Record | None:
    """None where the library has no such session."""
    if not values or _HEAD not in values:
        return None
    created, absolute, touched, idle_at, rotated, version, user = values[_HEAD]
    fields = {name[2:]: base64.b85decode(text) for name, text in values.items() if name.startswith(_OURS)}
    return Record(fields, created, absolute, touched, idle_at, user, rotated, version, token=view)


def left(record: Record) -> int:
    """Seconds to live, by the one limit that these libraries have: since the last use."""
    return record.idle_at - int(time.time())


class PeerStore:
    """What all have in common; a library gives `_load`, `_save`, `_delete` and, where it has them, `_create` and
    `_rotate`. Unlike a store of ours these may raise what they like."""

    caps = Caps(index=False)
    forks = True

    def __init__(self) -> None:
        self._created: set[str] = set()

    def read(self, key: str) -> Record | None:
        return to_record(self._load(key))

    def create(self, key: str, record: Record) -> bool:
        if key in self._created:
            raise Skipped("no step that writes only where nothing is")
        self._created.add(key)
        self._put_back(key, record)
        return True

    def patch(self, key: str, patch: Patch, seen: Record | None = None) -> Outcome:
        if patch.by:
            raise Skipped("no addition at the store")
        if patch.expect:
            raise Skipped("no expected values")
        if patch.max_bytes < 1000 or patch.max_names < 10:
            raise Skipped("no limit of size")
        record = seen if seen is not None else self.read(key)
        if record is None:
            return GONE
        outcome = applied(record, patch)
        if isinstance(outcome, (Refused, Conflict)):
            return outcome
        after, done = outcome
        self._put_back(key, after)
        return done

    def take(self, key: str, name: str) -> bytes | None:
        """`session.pop(name)`, which is read and write."""
        record = self.read(key)
        if record is None or name not in record.fields:
            return None
        value = record.fields[name]
        time.sleep(_WORK)
        self.patch(key, Patch(record.touched, record.idle_at, delete=frozenset({name})), record)
        return value

    def move(self, old: str, new: str, move: Move) -> Record | Outcome:
        if move.grace:
            raise Skipped("no grace for an old id")
        if move.patch.max_bytes < 1000:
            raise Skipped("no limit of size")
        record = self.read(old)
        if record is None:
            return GONE
        outcome = applied(record, move.patch)
        if isinstance(outcome, (Refused, Conflict)):
            return outcome
        created, absolute = move.restart or (record.created, record.absolute)
        after = outcome[0]
        after = Record(
            after.fields, created, absolute, after.touched, after.idle_at, move.user, move.rotated, after.version
        )
        time.sleep(_WORK)
        self._rotate(old, new, to_values(after), left(after))
        return after

    def delete(self, key: str) -> bool:
        there = self.read(key) is not None
        self._delete(key)
        return there

    def of_user(self, user: str) -> list[Listed]:
        raise Skipped("no list by user")

    def revoke_user(self, user: str, keep: str | None = None) -> int:
        raise Skipped("no revocation by user")

    def purge(self) -> int:
        return 0

    def check(self) -> list[str]:
        return []

    def close(self) -> None: ...

    def _put_back(self, key: str, record: Record) -> None:
        """Write all values with what is left of their time; where nothing is left, an app would delete."""
        if left(record) > 0:
            self._save(key, to_values(record), left(record))
        else:
            self._delete(key)

    def _load(self, key: str) -> dict[str, Any] | None:
        raise NotImplementedError

    def _save(self, key: str, values: dict[str, Any], ttl: int) -> None:
        raise NotImplementedError

    def _delete(self, key: str) -> None:
        raise NotImplementedError

    def _rotate(self, old: str, new: str, values: dict[str, Any], ttl: int) -> None:
        """Default: the old session is deleted, then the new one written."""
        self._delete(old)
        self._save(new, values, ttl)


class FlaskSessionStore(PeerStore):
    """`RedisSessionInterface` of Flask-Session; `regenerate` deletes the old id."""

    def __init__(self, url: str, folder: str) -> None:
        super().__init__()
        import redis
        from flask import Flask
        from flask_session.redis import RedisSession, RedisSessionInterface

        self._session = RedisSession
        self._made = RedisSessionInterface(Flask("peer"), client=redis.from_url(url))

    def _load(self, key: str) -> dict[str, Any] | None:
        return self._made._retrieve_session_data(f"session:{key}")

    def _save(self, key: str, values: dict[str, Any], ttl: int) -> None:
        self._made._upsert_session(timedelta(seconds=ttl), self._session(values, sid=key), f"session:{key}")

    def _delete(self, key: str) -> None:
        self._made._delete_session(f"session:{key}")


def _in_loop() -> Callable[[Any], Any]:
    import asyncio
    import threading

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return lambda call: asyncio.run_coroutine_threadsafe(call, loop).result(60)


class StarsessionsStore(PeerStore):
    """`RedisStore` and `JsonSerializer` of starsessions; `regenerate_session_id` leaves the old id as it is."""

    forks = False

    def __init__(self, url: str, folder: str) -> None:
        super().__init__()
        from starsessions import JsonSerializer
        from starsessions.stores.redis import RedisStore

        self._run = _in_loop()
        self._made, self._serializer = RedisStore(url), JsonSerializer()

    def _load(self, key: str) -> dict[str, Any] | None:
        data = self._run(self._made.read(key, 600))
        return self._serializer.deserialize(data) if data else None

    def _save(self, key: str, values: dict[str, Any], ttl: int) -> None:
        self._run(self._made.write(key, self._serializer.serialize(values), ttl, ttl))

    def _delete(self, key: str) -> None:
        self._run(self._made.remove(key))

    def _rotate(self, old: str, new: str, values: dict[str, Any], ttl: int) -> None:
        self._save(new, values, ttl)


class LitestarStore(PeerStore):
    """`RedisStore` of Litestar; a session keeps its id at login."""

    forks = False

    def __init__(self, url: str, folder: str) -> None:
        super().__init__()
        from litestar.serialization import decode_json, encode_json
        from litestar.stores.redis import RedisStore

        self._run = _in_loop()
        self._made, self._encode, self._decode = RedisStore.with_client(url), encode_json, decode_json

    def _load(self, key: str) -> dict[str, Any] | None:
        data = self._run(self._made.get(key))
        return self._decode(data) if data else None

    def _save(self, key: str, values: dict[str, Any], ttl: int) -> None:
        self._run(self._made.set(key, self._encode(values), expires_in=ttl))

    def _delete(self, key: str) -> None:
        self._run(self._made.delete(key))

    def _rotate(self, old: str, new: str, values: dict[str, Any], ttl: int) -> None:
        raise Skipped("no change of the id")


class DjangoStore(PeerStore):
    """A `SessionStore` of Django; `cycle_key` chooses the new key, which is found under ours by a table of names."""

    engine = ""
    _names: dict[str, str] = {}  # noqa: RUF012  # of all handles in this process

    def __init__(self, url: str, folder: str) -> None:
        super().__init__()
        import importlib

        from apps import _django
        from django.conf import settings

        if not settings.configured:
            _django(url, folder, self.engine, "django.contrib.sessions.middleware.SessionMiddleware")
        self._made = importlib.import_module(self.engine).SessionStore

    def read(self, key: str) -> Record | None:
        session = self._made(self._name(key))
        values = dict(session.items())
        # `load` makes a new, unsaved session of what it does not find
        return to_record(values if session.session_key else None, session)

    def create(self, key: str, record: Record) -> bool:
        from django.contrib.sessions.backends.base import CreateError

        session = self._made(self._name(key))
        if left(record) <= 0:
            return True
        self._put(session, to_values(record), left(record))
        try:
            session.save(must_create=True)
        except CreateError:
            return False
        return True

    def patch(self, key: str, patch: Patch, seen: Record | None = None) -> Outcome:
        from django.contrib.sessions.backends.base import UpdateError

        record = seen if seen is not None else self.read(key)
        outcome = super().patch(key, patch, record)
        if not isinstance(outcome, Applied) or record is None:
            return outcome
        merged = applied(record, patch)
        assert isinstance(merged, tuple)
        session = self._made(self._name(key))
        if left(merged[0]) <= 0:
            session.delete(session.session_key)
            return outcome
        session._session_cache = {}
        self._put(session, to_values(merged[0]), left(merged[0]))
        try:
            session.save()
        except UpdateError:
            return GONE
        return outcome

    def _put_back(self, key: str, record: Record) -> None: ...

    def _delete(self, key: str) -> None:
        self._made(self._name(key)).delete(self._name(key))

    def _rotate(self, old: str, new: str, values: dict[str, Any], ttl: int) -> None:
        session = self._made(self._name(old))
        session.load()
        session.cycle_key()
        self._put(session, values, ttl)
        session.save()
        self._names[new] = session.session_key

    def close(self) -> None:
        from django.db import connections

        with contextlib.suppress(Exception):
            connections.close_all()

    def _put(self, session: Any, values: dict[str, Any], ttl: int) -> None:
        session.clear()
        session.update(values)
        session.set_expiry(ttl)

    def _name(self, key: str) -> str:
        """At most 40 characters, in its database."""
        return self._names.get(key, key[-32:].replace("-", "x").replace("_", "y"))


def _django_store(engine: str) -> type[DjangoStore]:
    return type("DjangoStore", (DjangoStore,), {"engine": f"django.contrib.sessions.backends.{engine}"})


@dataclass(frozen=True)
class Peer:
    """How a handle is made, and the distribution whose version is told."""

    make: Callable[[str, str], PeerStore]
    distribution: str


PEERS = {
    "Flask-Session": Peer(FlaskSessionStore, "flask-session"),
    "starsessions": Peer(StarsessionsStore, "starsessions"),
    "Litestar": Peer(LitestarStore, "litestar"),
    "Django cache": Peer(_django_store("cache"), "django"),
    "Django cached_db": Peer(_django_store("cached_db"), "django"),
    "Django db": Peer(_django_store("db"), "django"),
}


def results(name: str, url: str, folder: str) -> Iterator[tuple[str, str, str]]:
    """Title, "yes", "no" or "not offered", and why, of each case of the suite."""
    from fungible_kit.sessions.conformance import CASES, processes, races
    from fungible_kit.sessions.stores import open_store

    make: Callable[[], Any]
    make = open_store(url, 5.0).sync if name == "kit" else lambda: PEERS[name].make(url, folder)
    for case in CASES:
        try:
            if case in processes.CASES and not getattr(make(), "forks", True):
                raise Skipped("an event loop does not survive a fork")
            for _ in range(_REPEATS if case in races.CASES else 1):
                case.run(make)
        except Skipped as why:
            yield case.title, "not offered", str(why)
        except AssertionError as error:
            yield case.title, "no", str(error)
        except Exception as error:
            yield case.title, "no", f"{type(error).__name__}: {error}"[:200]
        else:
            yield case.title, "yes", ""


def main() -> None:
    """usage: stores.py NAME URL FOLDER; writes a line of JSON for each case."""
    import json
    import logging
    import sys

    logging.disable(logging.CRITICAL)
    for row in results(*sys.argv[1:]):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()

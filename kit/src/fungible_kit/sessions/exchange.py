"""The record behind one request's session, and the steps that read and write it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Literal

from fungible_kit.sessions import identity
from fungible_kit.sessions.changes import Changes
from fungible_kit.sessions.codec import Codec, JsonCodec
from fungible_kit.sessions.errors import (
    SessionAlreadySent,
    SessionConflict,
    SessionError,
    SessionTooLarge,
    StoreUnavailable,
)
from fungible_kit.sessions.lifetime import Lifetime
from fungible_kit.sessions.record import (
    GONE,
    MAX_BYTES,
    MAX_NAMES,
    Applied,
    Conflict,
    Move,
    Outcome,
    Patch,
    Record,
    Refused,
)
from fungible_kit.sessions.steps import Ask, Runner, Steps

_GRACE = 30  # seconds that a periodically rotated id still leads to its session: requests under way carry it
_TRIES = 32  # of `compute`; each loss means that another request got through


class State(Enum):
    """What is known of the store's record."""

    NEW = "new"  # none belongs to this browser
    UNREAD = "unread"  # there may be one: a well-formed id came
    HELD = "held"  # it was read or written by this request
    ENDED = "ended"  # it was there, and another request ended it meanwhile
    AWAY = "away"  # the store could not be asked


@dataclass(frozen=True, slots=True)
class Policy:
    """What all sessions of an app have in common. Times in seconds, sizes in bytes."""

    lifetime: Lifetime = field(default_factory=Lifetime)
    codec: Codec = field(default_factory=JsonCodec)
    max_bytes: int = MAX_BYTES
    max_names: int = MAX_NAMES
    conflict: Literal["merge", "raise"] = "merge"
    on_store_error: Literal["unavailable", "anonymous"] = "unavailable"
    clock: Callable[[], float] = time.time
    event: Callable[[str, str], None] = lambda name, public_id: None


class Exchange:
    """What is known of the record, what was changed, and what is due at the next save.

    Steps ask the store through whoever runs them; nothing here waits. `Session` is the face of it.
    """

    def __init__(self, policy: Policy, runner: Runner, id: str | None = None) -> None:
        self._policy = policy
        self._runner = runner
        self._key = identity.key_of(id) if id is not None else None
        self._state = State.UNREAD if id is not None else State.NEW
        self._record: Record | None = None
        self._failure: StoreUnavailable | None = None
        self._changes = Changes(policy.codec, policy.max_bytes, policy.max_names)
        self._changes.known = id is None
        self._login: str | None = None  # sign this user in at the next save
        self._rotate = False
        self._touch = False
        self._began = False  # the record is this request's own
        self._doomed: list[str] = []  # keys to end at the next save
        self.issued: str | None = None
        """The id that the browser does not know yet."""
        self.signed_out = False
        """Whether the browser's cookie is to be cleared."""
        self.touched = False
        """Whether this request moved the idle limit on."""
        self.accessed = False
        """Whether the response may depend on the session, and so on the cookie."""
        self.sent = False
        """Whether the response has started, after which no cookie can be sent."""

    @property
    def public_id(self) -> str | None:
        """Twelve hex digits of the hash of the id: for logs; opens nothing."""
        return identity.public_id(self._key) if self._key is not None else None

    @property
    def key(self) -> str | None:
        """The store's key: the hash of the id."""
        return self._key

    @property
    def state(self) -> State:
        return self._state

    @property
    def policy(self) -> Policy:
        return self._policy

    # For the frameworks' adapters.

    def unavailable(self, failure: StoreUnavailable) -> None:
        """The store could not be asked for this session."""
        self._failure = failure
        self._state = State.AWAY
        self._changes.known = True
        self.issued, self.signed_out = None, False  # the store knows nothing of it, and the cookie stays
        self._policy.event("session.store_unavailable", self.public_id or "")

    @property
    def failure(self) -> StoreUnavailable | None:
        """Why the store could not be asked, where that was tried."""
        return self._failure

    def unsaved(self) -> str:
        """What the next save is about, for the log: `a login in a new session`; no names, no values."""
        if self._doomed:
            return f"the end of session {identity.public_id(self._doomed[-1])}"
        what = "a login in" if self._login is not None else "the new id of" if self._rotate else "a change of"
        return f"{what} session {self.public_id}" if self._key is not None else f"{what} a new session"

    def discard(self) -> None:
        """The response is an error of the server: drop changes; a logout stays."""
        self._changes.drop()
        self._login = None
        self._rotate = self._touch = False

    def load_steps(self) -> Steps[None]:
        if self._state is not State.UNREAD:
            return
        record: Record | None = yield Ask("read", (self._key,))
        if record is not None and record.moved_to is not None:
            self._key = record.moved_to
            record = yield Ask("read", (self._key,))
        now = self._policy.clock()
        if record is None or record.moved_to is not None or record.expire_at <= now:
            self._policy.event("session.unknown_id", self.public_id or "")
            self._unknown()
            return
        self._record = record
        self._state = State.HELD
        self._changes.read(record.fields)

    def save_steps(self) -> Steps[None]:
        """Everything that is due, in as few commands as can be."""
        while self._doomed:
            yield Ask("delete", (self._doomed[-1],))
            self._doomed.pop()
        sets, deletes = self._changes.pending()
        if self._state is State.NEW:
            if sets or self._login is not None:
                yield from self._create_steps(sets)
        elif self._state in (State.HELD, State.UNREAD):
            yield from self._update_steps(sets, deletes)

    # Steps.

    def _create_steps(self, sets: dict[str, bytes]) -> Steps[None]:
        if self.sent:
            raise SessionAlreadySent("a new session needs a cookie, and the response has started: write earlier")
        now, lifetime = int(self._policy.clock()), self._policy.lifetime
        id = identity.new_id()
        key = identity.key_of(id)
        record = Record(sets, now, now + lifetime.absolute, now, now + lifetime.idle, user=self._login, rotated=now)
        self._check_size(record)
        if not (yield Ask("create", (key, record))):
            raise SessionError("the session store has a session under an id made this moment")
        self._hold(key, record, id)
        self._began = True
        self._changes.settle(sets, frozenset())

    def _update_steps(self, sets: dict[str, bytes], deletes: frozenset[str]) -> Steps[None]:
        lifetime, record = self._policy.lifetime, self._record
        now = int(self._policy.clock())
        changed = bool(sets or deletes)
        periodic = (
            record is not None and not self.sent and self.accessed and lifetime.rotation_due(record.rotated, now)
        )
        if self._login is not None or self._rotate or periodic:
            at_once = self._login is not None or self._rotate
            yield from self._move_steps(self._patch(sets, deletes), at_once=at_once)
            return
        due = self._touch or (self.accessed and record is not None and lifetime.touch_due(record.touched, now))
        if not changed and not due:
            return
        patch = self._patch(sets, deletes)
        try:
            outcome = yield from self._patch_steps(patch)
        except StoreUnavailable:
            if changed or record is None:
                raise
            # The idle limit not moved on is no reason to fail a response; the next request will try.
            self._policy.event("session.store_unavailable", self.public_id or "")
            self._record = replace(record, touched=now)
            self._touch = False
            return
        if self._settled(outcome, patch):
            self.touched = True
        elif self._is_new() and sets:
            yield from self._create_steps(sets)

    def _move_steps(self, patch: Patch, *, at_once: bool) -> Steps[None]:
        now, record = patch.touched, self._record
        user = self._login if self._login is not None else (record.user if record is not None else None)
        if record is None:  # rotated without having been read: who it belongs to must be kept
            yield from self.load_steps()
            if self._record is None:
                self._rotate = False
                yield from self.save_steps()
                return
            user = self._record.user
        restart = (now, now + self._policy.lifetime.absolute) if self._login is not None else None
        id = identity.new_id()
        key = identity.key_of(id)
        grace = 0 if at_once else _GRACE
        outcome: Record | Outcome = yield Ask("move", (self._key, key, Move(patch, user, now, restart, grace)))
        if isinstance(outcome, Record):
            self._hold(key, outcome, id)
            self._changes.settle(patch.set, patch.delete)
            return
        if outcome is GONE and self._login is not None:
            # Ended meanwhile; who signs in here and now gets a session of its own.
            self._unknown()
            yield from self._create_steps(dict(patch.set))
            return
        if outcome is GONE and not at_once:
            outcome = yield from self._patch_steps(patch)  # another request has rotated it just now
        self._rotate = False
        self._settled(outcome, patch)

    def _patch_steps(self, patch: Patch) -> Steps[Outcome]:
        outcome: Outcome = yield Ask("patch", (self._key, patch, self._record))
        if outcome is GONE and self._policy.lifetime.rotate_every is not None:
            pointer: Record | None = yield Ask("read", (self._key,))
            if pointer is not None and pointer.moved_to is not None:
                self._key = pointer.moved_to
                outcome = yield Ask("patch", (self._key, patch, None))
        return outcome

    def _settled(self, outcome: Record | Outcome, patch: Patch) -> bool:
        """Take in what became of a patch; False where the session is gone."""
        if isinstance(outcome, Applied):
            if self._record is not None:
                self._record = self._record.written(patch, outcome)
            self._changes.settle(patch.set, patch.delete)
            self._touch = False
            return True
        if isinstance(outcome, Conflict):
            raise SessionConflict(outcome.names)
        if outcome is Refused.TOO_LARGE:
            raise SessionTooLarge(
                f"with what other requests wrote, the session is over {self._policy.max_bytes} bytes "
                f"or {self._policy.max_names} names; nothing was written"
            )
        if outcome is Refused.NOT_A_NUMBER:
            raise SessionError(f"session[{next(iter(patch.by))!r}] is no whole number; nothing was added to it")
        if self._state is State.UNREAD:
            self._policy.event("session.unknown_id", self.public_id or "")
            self._unknown()
            return False
        # Signed out or revoked meanwhile: that wins. No cookie is sent or cleared, it may be a newer one by now.
        self._policy.event("session.ended_write", self.public_id or "")
        self._changes.drop()
        self._state = State.ENDED
        return False

    def _incr_steps(self, name: str, by: int) -> Steps[int]:
        yield from self._stand_steps(name)
        if self._state in (State.HELD, State.UNREAD):
            patch = self._patch({}, frozenset(), by={name: by})
            outcome = yield from self._patch_steps(patch)
            if self._settled(outcome, patch) and isinstance(outcome, Applied):
                self._changes.put(name, b"%d" % outcome.numbers[name])
                return outcome.numbers[name]
        value: int = (self._changes.get(name) if name in self._changes else 0) + by
        if self._state is State.NEW:
            self._changes.set(name, value)  # nobody else has this session yet
        return value

    def _take_steps(self, name: str, default: Any) -> Steps[Any]:
        yield from self._stand_steps(name)
        if self._state not in (State.HELD, State.UNREAD):
            # What ended may have been taken by whoever ended it.
            value = self._changes.get(name) if name in self._changes and self._is_new() else default
            self._changes.delete(name)
            return value
        data: bytes | None = yield Ask("take", (self._key, name))
        if self._record is not None:
            self._record = replace(self._record, token=None)
        self._changes.put(name, None)
        return self._policy.codec.decode(name, data) if data is not None else default

    def _compute_steps(self, name: str, function: Callable[[Any], Any], default: Any) -> Steps[Any]:
        yield from self.load_steps()
        yield from self._stand_steps(name)
        for _ in range(_TRIES):
            before = self._changes.fields.get(name)
            held = before is not None and self._state is not State.NEW
            value = self._policy.codec.decode(name, before) if held and before is not None else default
            if self._state is State.NEW and name in self._changes:
                value = self._changes.get(name)
            value = function(value)
            if self._state is State.NEW:
                self._changes.set(name, value)
                return value
            if self._state is not State.HELD:
                return value
            patch = self._patch({name: self._policy.codec.encode(name, value)}, frozenset())
            outcome = yield from self._patch_steps(replace(patch, expect={name: before}))
            if not isinstance(outcome, Conflict):
                if self._settled(outcome, patch):
                    self._changes.put(name, patch.set[name])
                return value
            record: Record | None = yield Ask("read", (self._key,))
            if record is not None:
                self._record = record
                self._changes.put(name, record.fields.get(name))
        raise SessionConflict([name])

    def _stand_steps(self, name: str) -> Steps[None]:
        """Before an atomic step: what this request did to the name already must be in the store."""
        self.accessed = True
        self._fail_if_away()
        sets, deletes = self._changes.pending()
        sets = {name: sets[name]} if name in sets else {}
        deletes = deletes & {name}
        if (sets or deletes) and self._state in (State.HELD, State.UNREAD):
            patch = self._patch(sets, deletes)
            outcome = yield from self._patch_steps(patch)
            if not self._settled(outcome, patch) and self._is_new():
                yield from self._create_steps(sets)

    # Small things.

    def _is_new(self) -> bool:
        return self._state is State.NEW

    def _patch(self, sets: dict[str, bytes], deletes: frozenset[str], by: dict[str, int] | None = None) -> Patch:
        now = int(self._policy.clock())
        expect: dict[str, bytes | None] = {}
        if self._policy.conflict == "raise" and self._changes.known:
            expect = {name: self._changes.fields.get(name) for name in (*sets, *deletes)}
        return Patch(
            now,
            now + self._policy.lifetime.idle,
            sets,
            deletes,
            by or {},
            expect=expect,
            max_bytes=self._policy.max_bytes,
            max_names=self._policy.max_names,
        )

    def _hold(self, key: str, record: Record, id: str) -> None:
        self._key, self._record, self._state = key, record, State.HELD
        self.issued, self.signed_out = id, False
        self._login = None
        self._rotate = self._touch = False

    def _unknown(self) -> None:
        """The id that came is not one of ours, or no longer: it never becomes a key."""
        self._key = self._record = None
        self._state = State.NEW
        self._changes.known = True

    def _end(self) -> None:
        if self._state in (State.UNREAD, State.HELD, State.AWAY) and self._key is not None:
            self._doomed.append(self._key)
        self._unknown()
        self._changes.empty()
        self._rotate = self._touch = False

    def _fail_if_away(self) -> None:
        if self._state is State.AWAY and self._failure is not None:
            raise self._failure

    def _check_size(self, record: Record) -> None:
        if record.size > self._policy.max_bytes:
            raise SessionTooLarge(f"the session takes {record.size} bytes, and it holds {self._policy.max_bytes}")

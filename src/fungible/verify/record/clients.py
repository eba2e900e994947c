"""Which requests come from one client: known by the cookies that come back, not by the connection. Pure.

Traffic is not marked, for that would change it. A cookie value that an answer set to one client alone says whose
request carries it; what carries none is a visitor that has none yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from fungible.verify.record.exchange import Exchange
from fungible.verify.workload.provenance import is_token
from fungible.verify.workload.recorded import cookie_pairs
from fungible.verify.workload.steps import Pairs
from fungible.verify.world.cookies import Jar

Pair: TypeAlias = tuple[str, str]

_RECENT: Final = 200
"""How many clients are looked at for a request that no cookie tells the client of."""

_MANY: Final = 8
"""From so many clients on, a cookie value tells nothing."""


@dataclass(frozen=True)
class Origin:
    """Whose request it is: the number of its client, from 0, and the cookies that the client's jar will not send
    as they were sent. `foreign` are those of them that no answer ever set."""

    client: int
    written: Pairs = ()
    foreign: Pairs = ()


def origins(exchanges: Sequence[Exchange]) -> tuple[Origin, ...]:
    """The client of each exchange, which are in the order in which they will be sent again.

    Replaying that order with a jar a client (RFC 6265), `written` added, sends the cookies that were sent.
    """
    crowd = _Crowd()
    members = [crowd.member(each) for each in exchanges]
    roots = [crowd.root(each) for each in members]
    numbers = {root: number for number, root in enumerate(dict.fromkeys(roots))}
    jars: dict[int, Jar] = {}
    made: set[Pair] = set()
    found: list[Origin] = []
    for each, root in zip(exchanges, roots, strict=True):
        jar = jars.setdefault(root, Jar())
        own = set(cookie_pairs(jar.header(each.target)))
        sent = cookie_pairs(each.header("cookie"))
        # What is written takes the place of all cookies of its name: two paths may have one each.
        names = {name for name, value in sent if (name, value) not in own}
        written = tuple(pair for pair in sent if pair[0] in names)
        found.append(Origin(numbers[root], written, tuple(pair for pair in written if pair not in made)))
        lines = set_cookie_lines(each)
        jar.store(each.target, lines)
        made.update(pair for line in lines for pair in _set(line))
    return tuple(found)


def set_cookie_lines(exchange: Exchange) -> list[str]:
    """The Set-Cookie headers of an answer."""
    return [value for name, value in exchange.answer.headers if name == "set-cookie"]


def _set(line: str) -> Pairs:
    name, equals, value = line.partition(";")[0].partition("=")
    return ((name.strip(), value.strip()),) if equals else ()


def _is_unique(value: str) -> bool:
    """Two visitors do not have this value by chance."""
    return is_token(value) or len(value) >= 16


@dataclass
class _Client:
    """What is known of one client so far."""

    jar: Jar = field(default_factory=Jar)
    connections: set[int] = field(default_factory=set)
    carried: set[Pair] = field(default_factory=set)
    """Cookies that it brought along: no answer set them."""


@dataclass
class _Crowd:
    """Clients by number; those that turn out to be the same are joined."""

    clients: list[_Client] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    owners: dict[Pair, set[int]] = field(default_factory=dict)

    def root(self, number: int) -> int:
        """The client that this one was joined to."""
        while self.parents[number] != number:
            number = self.parents[number]
        return number

    def member(self, exchange: Exchange) -> int:
        """The number of the exchange's client."""
        sent = cookie_pairs(exchange.header("cookie"))
        unique = [(pair[1], self._owners(pair)) for pair in sent]
        telling = {next(iter(owners)) for value, owners in unique if len(owners) == 1 and _is_unique(value)}
        number = self._join(telling) if telling else self._likely(exchange, sent)
        client = self.clients[number]
        client.connections.add(exchange.connection)
        client.carried.update(pair for pair in sent if not self._owners(pair))
        lines = set_cookie_lines(exchange)
        client.jar.store(exchange.target, lines)
        for line in lines:
            for pair in _set(line):
                owners = self.owners.setdefault(pair, set())
                if len(owners) < _MANY:
                    owners.add(number)
        return number

    def _owners(self, pair: Pair) -> set[int]:
        return {self.root(each) for each in self.owners.get(pair, ())}

    def _join(self, numbers: set[int]) -> int:
        """One client had what several seemed to have: its first requests overlapped."""
        first, *others = sorted(numbers)
        for other in others:
            self.parents[other] = first
            mine, theirs = self.clients[first], self.clients[other]
            mine.jar.add(theirs.jar)
            mine.connections |= theirs.connections
            mine.carried |= theirs.carried
        return first

    def _likely(self, exchange: Exchange, sent: Pairs) -> int:
        """No cookie tells: the likeliest client that would send no other cookies than these; else a new one."""
        best: tuple[tuple[bool, bool, bool, int], int] | None = None
        for number in range(max(0, len(self.clients) - _RECENT), len(self.clients)):
            client = self.clients[number]
            if self.parents[number] != number:
                continue
            own = set(cookie_pairs(client.jar.header(exchange.target)))
            if not {name for name, _ in own} <= {name for name, _ in sent}:
                continue
            brought = {pair for pair in sent if not self._owners(pair)}
            same = bool(client.carried & brought)
            near = exchange.connection in client.connections
            blank = not client.jar.values and client.carried <= brought
            shared = bool(own & set(sent))
            if same or near or blank or shared:
                rank = (own == set(sent) - brought and bool(own), same, near, number)
                if best is None or rank > best[0]:
                    best = (rank, number)
        if best is not None:
            return best[1]
        self.clients.append(_Client())
        self.parents.append(len(self.parents))
        return len(self.clients) - 1

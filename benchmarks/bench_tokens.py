"""What verifying a request's token costs: operations of the store, and CPU time of the app's process, beside signed
tokens of itsdangerous and joserfc, and beside the bare look-up of each store's client.

usage: bench_tokens.py [ROUNDS]; writes benchmarks/results/tokens.json. Every round measures every row once, so that a
bad moment meets them all; the least of a row is what to compare, and how far its median lies above says how noisy
the machine was. A signed token costs no look-up and cannot be revoked: the difference is the price of that.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import valkey
from itsdangerous import URLSafeTimedSerializer
from joserfc import jwt
from joserfc.jwk import KeySet

from fungible.services.attach import open_services
from fungible_kit.tokens import SignedTokens, TokenError, Tokens, new_keys
from fungible_kit.tokens.secret import digest

BATCH = 200
STORES = ("sqlite", "postgres", "valkey")
RESULT = Path(__file__).parent / "results" / "tokens.json"
Row = Callable[[], Any]


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, str]]:
    """Real servers; the URL of each store."""
    loop = asyncio.new_event_loop()
    named = {f"{kind.upper()}_URL": kind for kind in STORES[1:]}
    started = open_services(named, environment={}, folder=folder, durable=False)
    for service in started:
        loop.run_until_complete(service.start())
    try:
        yield {"sqlite": f"sqlite:///{folder}/tokens.db"} | {each.kind: each.url for each in started}
    finally:
        for service in started:
            loop.run_until_complete(service.stop())
        loop.close()


def bare(kind: str, url: str, key: bytes, stack: ExitStack) -> Row:
    """The look-up alone, by the client that the store uses."""
    if kind == "valkey":
        client: Any = stack.enter_context(valkey.Valkey.from_url(url, decode_responses=True, socket_timeout=2.0))
        name = next(name for name in client.keys("fungible_tokens:t:*"))
        return lambda: client.execute_command("HGETALL", name)
    marks = "?" if kind == "sqlite" else "%s"
    statement = f"SELECT * FROM fungible_tokens WHERE digest = {marks}"
    connection: Any
    if kind == "sqlite":
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    else:
        connection = psycopg.connect(url, autocommit=True)
    stack.callback(connection.close)
    return lambda: connection.execute(statement, (key,)).fetchone()


def operations(tokens: Tokens, once: Row) -> int:
    """How many operations of the store one call takes; the tests count statements and commands on the wire."""
    asked: list[Any] = []
    execute = tokens._store.execute
    tokens._store.execute = lambda operation: asked.append(operation) or execute(operation)  # type: ignore[func-returns-value, method-assign]
    once()
    tokens._store.execute = execute  # type: ignore[method-assign]
    return len(asked)


def refused(once: Row) -> Row:
    def call() -> None:
        try:
            once()
        except TokenError:
            return
        raise SystemExit("junk was taken")

    return call


def rows_of(urls: dict[str, str], stack: ExitStack) -> tuple[dict[str, Row], dict[str, int]]:
    """What is measured, and the operations of the store that it takes."""
    rows: dict[str, Row] = {}
    asked: dict[str, int] = {}
    runner = stack.enter_context(asyncio.Runner())
    for kind, url in urls.items():
        now = [time.time()]
        tokens = Tokens(url, prefix="acme", clock=lambda now=now: now[0])
        tokens.create()
        secret = tokens.issue("ann", scopes={"read"}).secret
        header, junk = f"Bearer {secret}", f"Bearer {secret[:-1]}!"
        near_junk = f"Bearer {secret[:-1]}{'0' if secret[-1] != '0' else '1'}"
        rows[f"{kind}: look-up alone"] = bare(kind, url, digest(secret), stack)
        rows[f"{kind}: Tokens.verify"] = lambda tokens=tokens, header=header: tokens.verify(header, "read")
        asked[f"{kind}: a good token"] = operations(tokens, rows[f"{kind}: Tokens.verify"])
        asked[f"{kind}: junk"] = operations(tokens, refused(lambda tokens=tokens, junk=junk: tokens.verify(junk)))
        now[0] += 600
        asked[f"{kind}: a good token whose last use is noted, once in ten minutes"] = operations(
            tokens, rows[f"{kind}: Tokens.verify"]
        )
        if kind == "sqlite":
            rows["junk: Tokens.verify"] = refused(lambda t=tokens, junk=near_junk: t.verify(junk))
        else:

            async def many(tokens: Tokens = tokens, header: str = header) -> None:
                for _ in range(BATCH):
                    await tokens.averify(header, "read")

            rows[f"{kind}: Tokens.averify, one after the other"] = lambda many=many: runner.run(many())
            stack.callback(lambda tokens=tokens: runner.run(tokens.aclose()))
        stack.callback(tokens.close)
    serializer = URLSafeTimedSerializer("of the benchmark, 32 bytes of it")
    signed = serializer.dumps({"user": "ann", "scopes": ["read"]})
    rows["itsdangerous: loads, HMAC-SHA1, timed"] = lambda: serializer.loads(signed, max_age=3600)
    for algorithm in ("HS256", "Ed25519", "ES256"):
        private, public = new_keys(algorithm)
        ours = SignedTokens(public, issuer="a", audience="b")
        token = SignedTokens(private, issuer="a", audience="b").sign("ann", scopes={"read"})
        (key,) = KeySet.import_key_set(json.loads(public)).keys
        rows[f"joserfc {algorithm}: decode"] = lambda t=token, k=key, a=algorithm: jwt.decode(t, k, algorithms=[a])
        rows[f"SignedTokens {algorithm}: verify"] = lambda s=ours, h=f"Bearer {token}": s.verify(h, "read")
    return rows, asked


def measure(rows: dict[str, Row], rounds: int) -> dict[str, list[float]]:
    """CPU microseconds of one call in this process, all its threads, a figure for each round."""
    found: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(rounds):
        for name, once in rows.items():
            calls = 1 if "one after the other" in name else BATCH
            begin = time.process_time()
            for _ in range(calls):
                once()
            found[name].append((time.process_time() - begin) * 1e6 / BATCH)
    return found


def main() -> None:
    """Measure and write the result file."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, servers(Path(folder)) as urls, ExitStack() as stack:
        rows, asked = rows_of(urls, stack)
        for once in rows.values():
            once()
        found = measure(rows, rounds)
    least = {name: min(each) for name, each in found.items()}
    over = {kind: round(least[f"{kind}: Tokens.verify"] / least[f"{kind}: look-up alone"], 2) for kind in STORES}
    against = "joserfc HS256: decode"
    result = {
        "operations of the store for one request": asked,
        "CPU microseconds of the app's process for one call (min, median)": {
            name: [round(min(each), 1), round(statistics.median(each), 1)] for name, each in found.items()
        },
        "Tokens.verify, times its bare look-up (of the minima)": over,
        f"times {against} (of the minima)": {name: round(each / least[against], 2) for name, each in least.items()},
        "noise (median over minimum)": {
            name: round(statistics.median(each) / min(each), 2) for name, each in found.items()
        },
        "rounds": rounds,
        "calls a round and row": BATCH,
        "load before": round(load, 1),
        "machine": f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}",
    }
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    try:
        RESULT.write_text(text)
    except PermissionError:  # somebody else's checkout
        print(f"{RESULT} is not written: no permission", file=sys.stderr)


if __name__ == "__main__":
    main()

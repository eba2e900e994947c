"""A process with one app: reads orders, a line of JSON each, and answers with a line.

usage: worker.py NAME URL FOLDER; NAME is one of `apps.APPS`, or `floor valkey-py`, `floor valkey-py asyncio`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from apps import APPS, VISITOR, App, Twins
from browser import Answer, Asgi, Jar, Wsgi, at_once

AT_ONCE = 8
WITHIN = 6.0


class Measured:
    """An app, its bare twin and a browser that is signed in."""

    def __init__(self, app: App, runner: asyncio.Runner) -> None:
        self.app = app
        self.runner = runner
        kind = Wsgi if app.sync else Asgi
        self.sessions, self.bare = kind(app.sessions), kind(app.bare)
        self.jar = Jar()

    def ask(self, path: str, jar: Jar | None = None) -> Answer:
        if self.app.sync:
            return self.sessions.ask(path, jar)
        return self.runner.run(self.sessions.aask(path, jar))

    def fill(self) -> dict[str, Any]:
        self.jar = Jar()
        answer = self.ask("/fill", self.jar)
        return {"status": answer.status, "cookies": len(self.jar.cookies)}

    def once(self, path: str, cookie: bool) -> dict[str, Any]:
        """One request, and the SQL statements that it took."""
        counted: list[str] = []
        with _sql(counted):
            answer = self.ask(path, Jar(dict(self.jar.cookies)) if cookie else Jar())
        return {"status": answer.status, "cookies": len(answer.cookies), "sql": len(counted)}

    def cpu(self, path: str, cookie: bool, calls: int, bare: bool) -> dict[str, Any]:
        """CPU microseconds of one call, all threads of this process."""
        browser = self.bare if bare else self.sessions
        cookies = self.jar.cookies if cookie else {}
        if self.app.sync:
            begin = time.process_time()
            for _ in range(calls):
                browser.ask(path, Jar(dict(cookies)))
            return {"us": (time.process_time() - begin) * 1e6 / calls}

        async def many() -> float:
            begin = time.process_time()
            for _ in range(calls):
                await browser.aask(path, Jar(dict(cookies)))
            return time.process_time() - begin

        return {"us": self.runner.run(many()) * 1e6 / calls}

    def throughput(self, path: str, calls: int) -> dict[str, Any]:
        """Requests a second of this process, eight at a time: threads for WSGI, tasks for ASGI."""
        header = dict(self.jar.cookies)
        begin = time.perf_counter()
        if self.app.sync:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(lambda _: self.sessions.ask(path, Jar(dict(header))), range(calls)))
        else:
            self.runner.run(at_once(AT_ONCE, calls, lambda: self.sessions.aask(path, Jar(dict(header)))))
        return {"per_second": calls / (time.perf_counter() - begin)}

    def pairs(self, pairs: int) -> dict[str, Any]:
        """Pairs of requests that have both read before either writes, each its own name: how many writes are lost."""
        lost = failed = 0
        if self.app.sync:
            gate = threading.Barrier(2)
            Twins.wait = lambda: gate.wait(WITHIN)
            with ThreadPoolExecutor(2) as pool:
                for number in range(1, pairs + 1):
                    answers = list(pool.map(lambda p: self._tried(p), self._paths(number)))
                    lost, failed = self._count(self.ask("/show", self._copy()), answers, number, lost, failed)
            Twins.wait = lambda: None
            return {"pairs": pairs, "lost": lost, "refused": failed}

        async def all_of() -> tuple[int, int]:
            lost = failed = 0
            gate = asyncio.Barrier(2)
            Twins.await_ = gate.wait
            for number in range(1, pairs + 1):
                asked = (self.sessions.aask(path, self._copy()) for path in self._paths(number))
                answers = await asyncio.gather(*asked, return_exceptions=True)
                shown = await self.sessions.aask("/show", self._copy())
                lost, failed = self._count(shown, answers, number, lost, failed)
            return lost, failed

        lost, failed = self.runner.run(all_of())
        return {"pairs": pairs, "lost": lost, "refused": failed}

    def outage(self, path: str, cookie: bool) -> dict[str, Any]:
        """One request while the store is away; its cookies are a copy, as other requests are under way beside it."""
        jar = self._copy() if cookie else Jar()
        before = dict(jar.cookies)
        found: dict[str, Any] = {"seconds": None, "answer": f"none within {WITHIN:g} s"}

        def call() -> None:
            begin = time.perf_counter()
            try:
                answer = self.ask_alone(path, jar)
                said = f"{answer.status} as a visitor" if answer.body == VISITOR.encode() else str(answer.status)
            except Exception as error:
                said = f"500 ({type(error).__name__})"  # what servers answer where an app raises
            found.update(seconds=round(time.perf_counter() - begin, 3), answer=said)

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join(WITHIN)
        if cookie:
            found["cookie"] = "kept" if jar.cookies == before else ("cleared" if not jar.cookies else "replaced")
        return found

    def ask_alone(self, path: str, jar: Jar) -> Answer:
        """In a loop that stays, in a thread of its own: other requests may hang in it."""
        if self.app.sync:
            return self.sessions.ask(path, jar)
        if not hasattr(self, "_loop"):
            self._loop = self.runner.get_loop()
            threading.Thread(target=self._loop.run_forever, daemon=True).start()
        return asyncio.run_coroutine_threadsafe(self.sessions.aask(path, jar), self._loop).result()

    def _copy(self) -> Jar:
        return Jar(dict(self.jar.cookies))

    def _tried(self, path: str) -> Answer | Exception:
        try:
            return self.ask(path, self._copy())
        except Exception as error:
            return error

    def _paths(self, number: int) -> tuple[str, str]:
        return f"/pair/a/{number}", f"/pair/b/{number}"

    def _count(self, shown: Answer, answers: list[Any], number: int, lost: int, failed: int) -> tuple[int, int]:
        held = json.loads(shown.body)
        for name, answer in zip("ab", answers, strict=True):
            if not isinstance(answer, Answer) or answer.status != 200:
                failed += 1
            elif held.get(name) != number:
                lost += 1
        return lost, failed


class _sql:  # noqa: N801
    """Collects the SQL statements of Django, where it is there."""

    def __init__(self, found: list[str]) -> None:
        self._found = found
        self._wrapper: Any = None

    def __enter__(self) -> None:
        if "django.db" in sys.modules:
            from django.db import connection

            self._wrapper = connection.execute_wrapper(self._note)
            self._wrapper.__enter__()

    def __exit__(self, *error: Any) -> None:
        if self._wrapper is not None:
            self._wrapper.__exit__(*error)

    def _note(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        self._found.append(sql)
        return execute(sql, *rest)


class Floor:
    """What the bare client costs for the commands that the kit sends: the read, and the read and the write."""

    def __init__(self, url: str, runner: asyncio.Runner, asynchronous: bool) -> None:
        import valkey
        import valkey.asyncio
        from apps import PROFILE

        from fungible_kit.sessions.codec import JsonCodec
        from fungible_kit.sessions.record import Patch, Record
        from fungible_kit.sessions.stores import valkey_script as script

        now, codec = int(time.time()), JsonCodec()
        values = {"profile": codec.encode("profile", PROFILE), "n": b"0", "user": b'"ann"'}
        record = Record(values, now, now + 43200, now, now + 1800, rotated=now)
        key = f"fs:{'f' * 43}"
        sync = valkey.Valkey.from_url(url)
        sync.hset(key, items=script.hash_of(record))
        sync.script_load(script.PATCH.text)
        read = ("HGETALL", key)
        arguments = script.patch_arguments(Patch(now, now + 1800, {"n": b"1"}))
        write = ("EVALSHA", script.PATCH.sha, 1, key, *arguments)
        self._commands = {"/read": [read], "/write": [read, write]}
        limits = {"socket_timeout": None, "socket_connect_timeout": None}
        self._client: Any = (valkey.asyncio if asynchronous else valkey).Valkey.from_url(url, **limits)
        self._runner = runner
        self._asynchronous = asynchronous

    def cpu(self, path: str, calls: int, **_: Any) -> dict[str, Any]:
        commands = self._commands[path]
        if not self._asynchronous:
            begin = time.process_time()
            for _ in range(calls):
                for command in commands:
                    self._client.execute_command(*command)
            return {"us": (time.process_time() - begin) * 1e6 / calls}

        async def many() -> float:
            begin = time.process_time()
            for _ in range(calls):
                for command in commands:
                    await self._client.execute_command(*command)
            return time.process_time() - begin

        return {"us": self._runner.run(many()) * 1e6 / calls}


def main() -> None:
    """Answer orders until the input ends."""
    name, url, folder = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    with asyncio.Runner() as runner:
        measured: Any
        if name.startswith("floor"):
            measured = Floor(url, runner, name.endswith("asyncio"))
        else:
            measured = Measured(APPS[name][0](url, folder), runner)
        print("{}", flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            print(json.dumps(getattr(measured, order.pop("do"))(**order)), flush=True)


if __name__ == "__main__":
    main()

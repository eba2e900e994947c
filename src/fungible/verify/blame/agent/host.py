"""The verifier's end of the blame agent: what can be asked of the processes of an app.

Every command goes to all connected processes; what they say is merged and carries the pid (as the process itself
sees it).
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fungible.verify.blame.agent.connections import Connections
from fungible.verify.blame.agent.naming import ObjectPath, rank
from fungible.verify.blame.agent.told import (
    Atom,
    Chance,
    Change,
    Draw,
    FileEvent,
    Hashing,
    Place,
    Restored,
    Roots,
    Snapshot,
    Write,
)


class AgentServer(Connections):
    """Serves the unix socket at `path` (mode 0600), and speaks to every process of the app that connects.

    `seconds` bounds one command in one process. Use as an async context manager. One server serves one run.
    """

    @property
    def inside(self) -> Path:
        """The folder that must be readable by the app's processes, at this same path."""
        return Path(__file__).parent / "inside"

    def environment(
        self,
        root: str,
        python_path: str = "",
        *,
        socket: str | None = None,
        inside: str | None = None,
        lines: bool = False,
        chance: Chance | None = None,
        hashing: Hashing | None = None,
    ) -> dict[str, str]:
        """The variables that bring the agent into a Python app.

        `root` is the app's folder and `python_path` the app's own PYTHONPATH, both as the app sees them; `socket`
        and `inside` say where the app sees the socket and the agent's folder, if elsewhere than the host does.
        `lines`: this run is going to use `trace` (before Python 3.12 that costs a little on every call).
        `chance`: what is drawn at boot is noted, and shared as it says, until `drawn` is asked. `hashing`: what
        `hash` gives for text is noted, and shared as it says.
        """
        folder = inside or str(self.inside)
        return {
            "PYTHONPATH": f"{folder}:{python_path}" if python_path else folder,
            "FUNGIBLE_AGENT": socket or str(self.path),
            "FUNGIBLE_AGENT_ROOT": root,
            **({"FUNGIBLE_AGENT_LINES": "1"} if lines else {}),
            **({} if chance is None else {"FUNGIBLE_AGENT_CHANCE": json.dumps([chance.seed, chance.shared])}),
            **({} if hashing is None else {"FUNGIBLE_AGENT_HASHES": json.dumps(hashing.shared)}),
        }

    async def snapshot(
        self, name: str, roots: Roots = "all", *, objects: int = 600_000, seconds: float = 30.0
    ) -> tuple[Snapshot, ...]:
        """Remember what is in memory now, under `name`. The app stands still meanwhile."""
        said = await self.ask_all("snapshot", name=name, roots=roots, objects=objects, seconds=seconds)
        return tuple(Snapshot(pid, one["objects"], one["seconds"], one["truncated"]) for pid, one in said)

    async def diff(self, since: str, *, born: str | None = None, limit: int = 500) -> tuple[Change, ...]:
        """What changed since the snapshot `since`, in the order in which to suspect it. What a change `holds` was
        made since the snapshot `born`, or since `since`."""
        said = await self.ask_all("diff", **{"from": since, "born": born, "limit": limit})
        changes = [
            Change(
                pid=pid,
                path=ObjectPath.of(one["path"]),
                kind=one["kind"],
                what=one["what"],
                type=one["type"],
                parts=tuple(ObjectPath.of([*one["path"], step]) for step in one["parts"]),
                restorable=one["restorable"],
                in_app=one["app"],
                made=one["made"],
                holds=one["holds"],
            )
            for pid, answer in said
            for one in answer["changes"]
        ]
        return tuple(sorted(changes, key=lambda change: rank(change.path, change.kind, change.in_app)))

    async def restore(self, since: str, paths: Iterable[ObjectPath], *, born: str | None = None) -> Restored:
        """Put the objects back to their shallow content in the snapshot `since`.

        `paths` are those of changes, also of another run: where keys are random, the same shape is enough. With
        `born`, containers that a change leads to and that are not in that snapshot are emptied, whoever holds them.
        """
        wanted = list(paths)
        said = await self.ask_all(
            "restore", **{"from": since, "paths": [path.steps for path in wanted], "born": born}
        )
        restored: set[int] = set()
        suspects: dict[int, str] = {}
        for _, one in said:
            restored.update(one["restored"])
            suspects.update({int(number): why for number, why in one["suspects"]})
        numbers = range(len(wanted))
        return Restored(
            tuple(wanted[n] for n in numbers if n in restored and n not in suspects),
            tuple((wanted[n], suspects[n]) for n in numbers if n in suspects),
            tuple(wanted[n] for n in numbers if n not in restored and n not in suspects),
        )

    async def export(self, path: ObjectPath) -> tuple[Any, str | None]:
        """The plain data at `path`, in a form for `implant`, and None; or None and why it cannot be carried.

        Of several processes the one that has most (by length of its wire form) is taken.
        """
        best: tuple[Any, str | None] = (None, "no process has it")
        for _, one in await self.ask_all("export", path=path.steps):
            if "value" in one and (best[1] is not None or _size(one["value"]) > _size(best[0])):
                best = (one["value"], None)
            elif best[1] is not None:
                best = (None, one.get("impossible", best[1]))
        return best

    async def implant(self, path: ObjectPath, value: Any) -> str | None:
        """Give the object at `path` the exported `value` in every process that has it; None, or why not."""
        said = [one.get("impossible") for _, one in await self.ask_all("implant", path=path.steps, value=value)]
        return None if None in said else said[0]

    async def trace(self, paths: Iterable[ObjectPath]) -> tuple[ObjectPath, ...]:
        """Watch the objects at `paths` from now on and no others (at most 16); returns those that some process
        watches.

        Give the parts of a change too (the very keys): then old keys of a large dict are seen as well.
        """
        wanted = list(paths)
        said = await self.ask_all("trace", paths=[path.steps for path in wanted])
        seen = {number for _, one in said for number in one["watching"]}
        return tuple(path for number, path in enumerate(wanted) if number in seen)

    async def traced(self) -> tuple[Write, ...]:
        """The writes to the watched objects up to now, oldest first."""
        return tuple(
            Write(
                pid,
                ObjectPath.of(one["path"]),
                _place(one["written_at"]),
                _place(one["called_from"]),
                one["function"],
                one["what"],
                _place(one["through"]),
            )
            for pid, answer in await self.ask_all("traced")
            for one in answer["writes"]
        )

    async def declared(self, paths: Iterable[ObjectPath]) -> dict[ObjectPath, Place]:
        """Where each object is made, as far as the source shows it."""
        wanted = list(paths)
        found: dict[ObjectPath, Place] = {}
        for _, one in await self.ask_all("declared", paths=[path.steps for path in wanted]):
            for number, file, line in one["places"]:
                found.setdefault(wanted[number], Place(wanted[number], file, line))
        return found

    async def files(self) -> tuple[FileEvent, ...]:
        """The files written and databases connected to since the start of each process, oldest first."""
        return tuple(
            FileEvent(
                pid,
                one["path"],
                one["event"],
                _place(one["written_at"]),
                _place(one["called_from"]),
                one["size"],
                _place(one["through"]),
            )
            for pid, answer in await self.ask_all("files")
            for one in answer["files"]
        )

    async def drawn(self) -> tuple[Draw, ...]:
        """The lines that drew randomness up to now; what is drawn from now on is each process's own."""
        return await self._sites("drawn")

    async def hashed(self) -> tuple[Draw, ...]:
        """The lines that asked `hash` for the number of a text up to now."""
        return await self._sites("hashed")

    async def _sites(self, asked: str) -> tuple[Draw, ...]:
        mains = {greeting.pid: greeting.main for greeting in self.greetings}
        return tuple(
            Draw(
                one["key"],
                _place(one["written_at"]),
                _place(one["called_from"]),
                one["name"] and re.sub(r"\A__main__\b", mains.get(pid, "__main__"), one["name"]),
            )
            for pid, answer in await self.ask_all(asked)
            for one in answer[asked]
        )

    async def boot(self, salt: str, roots: Roots = "all") -> tuple[Atom, ...]:
        """All leaf values by path, as digests under `salt`: use one `new_salt()` for the boots to be compared."""
        return tuple(
            Atom(pid, ObjectPath.of(path), digest)
            for pid, answer in await self.ask_all("boot", salt=salt, roots=roots)
            for path, digest in answer["atoms"]
        )


def new_salt() -> str:
    """A salt for `AgentServer.boot`: digests cannot be compared with those of other runs."""
    return secrets.token_hex(16)


def _place(said: Sequence[Any] | None) -> tuple[str, int] | None:
    return None if said is None else (str(said[0]), int(said[1]))


def _size(value: Any) -> int:
    return len(json.dumps(value))

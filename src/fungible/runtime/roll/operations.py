"""The one writer: every change of a running formation goes through here, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from fungible.app.environment import check_name, parse_assignment
from fungible.app.formation import parse_formation
from fungible.app.problem import Exit, Problem
from fungible.app.wording import nearest, shown
from fungible.build.releases import Sealed, abandon, accept
from fungible.runtime.events import Bus, Event
from fungible.runtime.formation.formation import Formation
from fungible.runtime.ground.folders import Folders
from fungible.runtime.ground.release import Release
from fungible.runtime.ground.stage import store_config
from fungible.runtime.logs.tail import Tail
from fungible.runtime.roll.releasing import Ready, Releasing, StepFailed
from fungible.runtime.roll.roll import Change, Roll, Rolled

_LAST_LINES = 20


class Abandoned(Problem):
    """A roll that failed and was taken back; `log` are the last lines of what failed. `told` if whoever reads the log
    of the formation knows it already."""

    def __init__(self, message: str, log: Sequence[str] = (), exit: Exit = Exit.NO, *, told: bool = False) -> None:
        super().__init__(message, exit)
        self.log = tuple(log)
        self.told = told


@dataclass(frozen=True)
class Done:
    """What has come of an operation, in one sentence, and the release that serves now."""

    message: str
    release: str


@dataclass(frozen=True)
class _Turn:
    formation: Formation
    to: Release
    back: Release

    def apply(self) -> None:
        self.formation.turn_to(self.to)

    def revert(self) -> None:
        self.formation.turn_to(self.back)


@dataclass(frozen=True)
class _Wear:
    formation: Formation
    instances: frozenset[str]

    def apply(self) -> None:
        self.formation.wear(self.instances)

    def revert(self) -> None:
        self.formation.spare(self.instances)


@dataclass(frozen=True)
class _Scale:
    formation: Formation
    counts: Mapping[str, int]

    def apply(self) -> None:
        self.formation.scale(self.counts)

    def revert(self) -> None:
        """The number stays wanted: what crashes is started again with growing pauses."""


class Operations:
    """What can be done to `formation` while it runs. Each method returns when its roll has ended, and raises Problem
    where it cannot be done and Abandoned where it failed.
    """

    def __init__(
        self,
        formation: Formation,
        releasing: Releasing,
        folders: Folders,
        bus: Bus[Event],
        tail: Tail,
    ) -> None:
        self._formation = formation
        self._releasing = releasing
        self._folders = folders
        self._bus = bus
        self._tail = tail
        self._turn = asyncio.Lock()
        self._roll: Roll | None = None

    @property
    def stopping(self) -> bool:
        """Whether nothing more can be done."""
        return self._formation.stopping

    async def scale(self, items: Sequence[str]) -> Done:
        """Bring as many processes as `items` say (`web=3`)."""
        async with self._turn:
            types = self._formation.types
            singletons = [name for name, type in types.items() if type.singleton]
            counts = parse_formation(items, types, singletons)
            if not counts:
                raise Problem("say how many of which type: `fungible scale web=3`")
            rolled = await self._run(_Scale(self._formation, counts), frozenset(counts))
            if rolled.problem is not None:
                raise self._failure(f"{rolled.problem}; it is started again with growing pauses", rolled)
            said = ", ".join(f"{name}={count}" for name, count in counts.items())
            return self._done(f"{said}")

    async def restart(self, name: str | None = None) -> Done:
        """Replace all processes, those of a type, or one."""
        async with self._turn:
            chosen = [
                process
                for process in self._formation.processes.values()
                if not process.retired and name in (None, process.type.name, process.name)
            ]
            if not chosen and name is not None and name not in self._formation.types:
                known = [*self._formation.types, *(each.name for each in self._formation.processes.values())]
                raise Problem(f"there is no process and no type {shown(name)}.{nearest(name, known)}")
            instances = frozenset(process.instance for process in chosen)
            types = frozenset(process.type.name for process in chosen)
            rolled = await self._run(_Wear(self._formation, instances), types)
            if rolled.problem is not None:
                raise self._failure(f"{rolled.problem}; what ran before runs on", rolled)
            return self._done(f"{len(instances)} restarted")

    async def release(self, *, supersede: bool = False) -> Done:
        """Build the app's folder as it is now and roll it.

        With `supersede`, in development, a roll that is under way is given up, and the build is not booted for its
        proof.
        """
        if supersede and self._roll is not None:
            self._roll.supersede()
        async with self._turn:
            ready = await self._made(lambda: self._releasing.of_folder(self._in_use(), prove=not supersede))
            if ready.release.name == self._formation.release.name:
                return self._done(f"nothing has changed: {ready.release.name} serves on")
            return await self._turn_to(ready)

    async def configure(self, set: Iterable[str] = (), unset: Iterable[str] = ()) -> Done:
        """Set config vars (`NAME=VALUE`) and unset others (`NAME`), and roll them."""
        assignments = dict(parse_assignment(item) for item in set)
        names = tuple(unset)
        async with self._turn:
            config = changed_config(self._releasing.config(), assignments, names)
            if config == dict(self._formation.release.config):
                return self._done(f"nothing has changed: {self._formation.release.name} serves on")
            done = (("set", tuple(assignments)), ("unset", names))
            said = ", ".join(f"{verb} {' '.join(which)}" for verb, which in done if which)
            base = self._formation.release.name

            async def make() -> Ready:
                return self._releasing.of_config(base, config, f"config {said}"[:200], self._in_use())

            try:
                return await self._turn_to(await self._made(make))
            except Abandoned as failed:
                # Half a change would be worse than none: the next start would meet what this roll was spared.
                kept = f"{failed.message}; no config var has changed (set together what is needed together)"
                raise Abandoned(kept, failed.log, failed.exit, told=failed.told) from None

    async def rollback(self, name: str | None = None) -> Done:
        """Roll a release with the code and the config vars of an earlier one."""
        async with self._turn:

            async def make() -> Ready:
                return self._releasing.of_earlier(name, self._formation.release.name, self._in_use())

            return await self._turn_to(await self._made(make))

    def releases(self) -> list[tuple[Sealed, bool]]:
        """All releases, oldest first, and whether it is the one that serves."""
        return [(each, each.name == self._formation.release.name) for each in self._releasing.list()]

    async def _made(self, make: Callable[[], object]) -> Ready:
        if self._formation.stopping:
            raise Problem("the formation is being stopped", Exit.NOT_ALLOWED)
        try:
            ready = await make()  # type: ignore[misc]
        except StepFailed as failed:
            raise self._step_failed(failed) from None
        except OSError as error:
            raise Problem(f"{error.filename}: {error.strerror}", Exit.NOT_ALLOWED) from None
        assert isinstance(ready, Ready)
        return ready

    async def _turn_to(self, ready: Ready) -> Done:
        before, release = self._formation.release, ready.release
        # Until it serves: if we are killed meanwhile, nobody goes back to a release that never has.
        abandon(self._folders.releases, ready.sealed.number, "its roll did not end")
        try:
            await self._releasing.run_command(ready)
        except StepFailed as failed:
            message = self._abandon(ready, failed.why)
            log = self._tail.lines_of(failed.instance, _LAST_LINES)
            raise Abandoned(f"{message}; its output is above", log, told=True) from None
        except BaseException:
            self._abandon(ready, "its release command could not be run")
            raise
        self._tell("release.rolling", release.name, f"{release.name} is rolled ({ready.sealed.reason})")
        rolled = await self._run(_Turn(self._formation, release, before))
        if rolled.problem is not None:
            raise self._failure(self._abandon(ready, rolled.problem), rolled, told=True)
        store_config(self._folders, release.config)
        accept(self._folders.releases, ready.sealed.number)
        self._tell("release.rolled", release.name, f"{release.name} serves")
        return self._done(f"{release.name} serves")

    async def _run(self, change: Change, types: frozenset[str] | None = None) -> Rolled:
        if self._formation.stopping:
            raise Problem("the formation is being stopped", Exit.NOT_ALLOWED)
        self._roll = Roll(self._formation, self._bus, change, types)
        try:
            return await self._roll.run()
        finally:
            self._roll = None

    def _abandon(self, ready: Ready, why: str) -> str:
        """Give a release up; returns what has been said of it."""
        abandon(self._folders.releases, ready.sealed.number, why)
        name, formation = ready.release.name, self._formation
        serves = any(map(formation.is_up, formation.processes.values()))
        on = "" if formation.stopping else f", {formation.release.name} {'serves on' if serves else 'stays'}"
        said = f"{name} is abandoned{on}: {why}"
        self._tell("release.abandoned", name, said)
        return said

    def _failure(self, message: str, rolled: Rolled, *, told: bool = False) -> Abandoned:
        log = self._tail.lines_of(rolled.fall.instance, _LAST_LINES) if rolled.fall is not None else ()
        return Abandoned(message, log, told=told)

    def _step_failed(self, failed: StepFailed) -> Abandoned:
        return Abandoned(failed.message, self._tail.lines_of(failed.instance, _LAST_LINES))

    def _done(self, message: str) -> Done:
        return Done(message, self._formation.release.name)

    def _tell(self, kind: str, release: str, text: str) -> None:
        self._bus.publish(Event(kind, release=release))
        self._bus.publish(Event("notice", release=release, data={"text": text}))

    def _in_use(self) -> frozenset[int]:
        releases = [self._formation.release, *(each.release for each in self._formation.processes.values())]
        return frozenset({int(each.name[1:]) for each in releases} | {each.build for each in releases})


def changed_config(config: Mapping[str, str], assignments: Mapping[str, str], unset: Iterable[str]) -> dict[str, str]:
    """Config vars after a change. Raises Problem for a name to unset that is not set."""
    changed = {**config, **assignments}
    for name in unset:
        check_name(name)
        if name not in config:
            raise Problem(f"the config var {name} is not set.{nearest(name, config)}")
        changed.pop(name, None)
    return changed

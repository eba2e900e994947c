"""Which object in memory held the state: put back what changed, object by object, and see whether it matters.

Two ways to ask, with the same instrument. In the warm order one process serves all: putting the culprit back just
before the observer makes the observer answer as a process does that never saw the writer. Where the observer's own
slot had served before (a stale cache), putting back what those steps left makes the difference vanish. An object is
only named as confirmed where this counterfactual ran; what changes and does not matter is never named.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from fungible.verify.blame.agent.host import AgentServer
from fungible.verify.blame.agent.naming import ObjectPath, rank
from fungible.verify.blame.agent.told import Change, Write
from fungible.verify.blame.bench import BACKGROUND, Agents, Bench, Ending, Question, Ran, Visit
from fungible.verify.blame.culprit import Culprit, Line, container_of, culprit_of_object
from fungible.verify.blame.least import halved, without_the_needless
from fungible.verify.blame.mention import Mention, words_of
from fungible.verify.blame.proof import Proof, places_at
from fungible.verify.blame.way import Way, ways
from fungible.verify.shrink.case import Case
from fungible.verify.workload.steps import Request

_LIKELY = 120
"""So many candidates are put back together first: to put back more may be more than the app can bear."""
_MOST_CANDIDATES = 5_000
_MOST_RUNS = 24
_MOST_MORE = 16
"""So many more where several objects matter together: one that does not would be named for them."""
_ALONE = 3
"""So many candidates are tried one by one before all are halved."""


@dataclass
class _Tried:
    """A run with objects put back, and what was heard of the first of them: who wrote it, where it is made."""

    matters: bool = False
    is_least: bool = True
    """Whether it is known that no less would matter."""
    ran: Ran | None = None
    main: str = "__main__"
    writes: tuple[Write, ...] = ()
    declared: dict[ObjectPath, Line] = field(default_factory=dict)


class Memory:
    """Looks for the object behind one difference; `say` is told what is tried."""

    def __init__(self, bench: Bench, question: Question, say: Callable[[str], None]) -> None:
        self._bench = bench
        self._question = question
        self._say = say
        self._looked: dict[Way, tuple[Change, ...]] = {}
        self._disturbed: set[Way] = set()
        """The ways in which looking alone makes the answer another one: it takes time, and the app's clock runs."""
        self._rehearsals: dict[Way, bool] = {}

    async def prove(self, asked: Sequence[Way]) -> Proof | None:
        """The object, by the first way that leads to one. What was only made to hold it is looked into."""
        for way in asked:
            proof = await self._by(way, await self.look(way))
            if proof is not None:
                return (await self.prove_rehearsed(asked) if proof.made else None) or proof
        return None

    async def prove_rehearsed(self, asked: Sequence[Way]) -> Proof | None:
        """Ask once more in one process that has answered before, unless that alone makes the difference appear."""
        way = next(replace(way, rehearsed=True) for way in asked if way.appears)
        return await self._by(way, await self.look(way)) if await self._can_rehearse(way) else None

    async def _can_rehearse(self, way: Way) -> bool:
        """Whether the rehearsal alone leaves the difference as it is; asked once."""
        if not isinstance(self._bench.workload.steps[self._question.case.observer], Request):
            return False
        way = replace(way, emptied=False)
        if way not in self._rehearsals:
            self._rehearsals[way] = not (await self._put_back(way, ())).matters
        return self._rehearsals[way]

    async def prove_emptied(self, asked: Sequence[Way]) -> Proof | None:
        """Ask once more of the containers that these requests made, emptying them: where a counter is made by the
        first that counts, or somebody holds it where no path leads (a context variable), neither to unbind it nor
        to rehearse shows it."""
        plain = next((replace(way, emptied=True) for way in asked if way.appears and not way.each), None)
        if plain is None:
            return None
        rehearsed = replace(plain, rehearsed=True)
        can_rehearse = await self._can_rehearse(rehearsed)
        for way in (rehearsed, plain) if can_rehearse else (plain,):
            groups = [tuple(change for change in await self.look(way) if change.holds is not None)]
            while groups and self._bench.goes_on(_MOST_RUNS):
                # All at once may empty what the app cannot do without: then half of them.
                group = groups.pop(0)
                proof = await self._by(way, group)
                if proof is not None:
                    return proof
                middle = len(group) // 2
                groups += [half for half in (group[:middle], group[middle:]) if 0 < len(half) < len(group)]
        return None

    async def suspect(self) -> Culprit | None:
        """What changed and cannot be put back (a generator, a database in memory), if the app holds one such only."""
        for way, found in self._looked.items():
            suspects = [change for change in found if change.in_app and not change.restorable]
            if len(suspects) == 1 and not way.rehearsed:
                tried = await self._put_back(way, (), watched=suspects[0])
                return replace(_named(way, suspects[0], tried), confirmed=False)
        return None

    async def look(self, way: Way) -> tuple[Change, ...]:
        """What changed in the slot between its first step and the observer; looked for once."""
        way = replace(way, emptied=False)
        if way in self._looked:
            return self._looked[way]
        self._say("looking for what changed in memory")
        seen: dict[ObjectPath, Change] = {}
        programs: set[str] = set()

        async def visit(index: int, agents: Agents) -> None:
            if index == way.since:
                await agents[way.slot].snapshot("before")
                programs.update(*(greeting.programs for greeting in agents[way.slot].greetings))
            if self._is_asked(way, index):
                await ask(index, agents)

        async def ask(_: int, agents: Agents) -> None:
            found = await agents[way.slot].diff("before", born=way.born)
            seen.update({change.path: change for change in found})

        ran = await self._run(way, visit, ask)
        mention = Mention(words_of(ran.execution.transcript, self._question.last), tuple(seen.values()))
        found = tuple(sorted(seen.values(), key=lambda each: rank_told(each, mention, programs)))
        self._looked[way] = found
        if self._question.shows(ran.execution) == way.appears:
            self._disturbed.add(way)
        return found

    async def _by(self, way: Way, found: Sequence[Change]) -> Proof | None:
        # To undo an import undoes all that the module holds, and names none of it: ask once it has been made.
        changes = [change for change in found if change.restorable and change.kind != "import"][:_MOST_CANDIDATES]
        tried, guilty = await self._least(way, changes[:_LIKELY])
        if not guilty and len(changes) > _LIKELY:
            # A page that shows its own settings mentions hundreds of them, and the state may lie in two objects.
            tried, guilty = await self._least(way, changes)
        if not guilty or await self._matters_anyway(way):
            return None
        if not tried.writes and not tried.declared:
            tried = replace(await self._put_back(way, guilty, watched=guilty[0]), is_least=tried.is_least)
        paths = [change.path for change in guilty]
        return Proof(
            replace(_named(way, guilty[0], tried), confirmed=tried.is_least),
            lambda question, shown: self._explained(way, paths, question, shown),
            simple=not way.rehearsed and not way.emptied,
            made=guilty[0].made and not way.each and not way.rehearsed and not way.emptied,
        )

    async def _matters_anyway(self, way: Way) -> bool:
        """Whether the answer is another one where nothing is put back, too: then nothing is proved."""
        return self._is_disturbed(way) and (await self._put_back(way, ())).matters

    @property
    def is_disturbed(self) -> bool:
        """Whether looking alone was seen to change the answer: then what only takes time proves nothing."""
        return bool(self._disturbed)

    def _is_disturbed(self, way: Way) -> bool:
        return replace(way, emptied=False) in self._disturbed

    async def _least(self, way: Way, changes: list[Change]) -> tuple[_Tried, list[Change]]:
        """The least set that matters, empty where nothing does: the likeliest alone, all, the next few, halves.
        What is asked next in any case is asked side by side."""
        nothing = _Tried()
        watches = not self._is_disturbed(way)  # to trace takes time as well

        async def alone_with(change: Change) -> _Tried:
            return await self._surely(way, [change], watched=change if watches else None)

        if len(changes) < 2:
            tried = await alone_with(changes[0]) if changes else nothing
            return tried, changes if tried.matters else []
        likely = changes[:1] if changes[0].in_app and not changes[0].path.private else []
        together, *alone = await asyncio.gather(self._surely(way, changes), *map(alone_with, likely))
        if alone and alone[0].matters:
            return alone[0], likely
        if not together.matters:
            return nothing, []
        few = changes[len(likely) : _ALONE]
        for each, tried in zip(few, await asyncio.gather(*map(alone_with, few)), strict=True):
            if tried.matters:
                return tried, [each]

        async def matters(some: Sequence[Change]) -> bool:
            return (await self._surely(way, some)).matters

        changes = await halved(changes, matters, lambda: self._bench.goes_on(_MOST_RUNS))
        # Of several that were not told apart in time, the first is only the likeliest.
        changes, is_least = await without_the_needless(changes, matters, self._goes_on_longer)
        return _Tried(is_least=is_least), changes

    def _goes_on_longer(self) -> bool:
        """Whether there is time to tell several objects apart that matter together."""
        return self._bench.goes_on(_MOST_RUNS + _MOST_MORE)

    async def _surely(self, way: Way, changes: Sequence[Change], watched: Change | None = None) -> _Tried:
        """`_put_back`; where looking alone was seen to change the answer, what matters has to matter twice."""
        tried = await self._put_back(way, changes, watched)
        return await self._put_back(way, changes, watched) if tried.matters and self._is_disturbed(way) else tried

    async def _put_back(self, way: Way, changes: Sequence[Change], watched: Change | None = None) -> _Tried:
        """Whether putting these objects back changes the observer's answer to the other one."""
        if changes:
            what = container_of(changes[0].text()) if len(changes) == 1 else f"{len(changes)} objects"
            self._say(f"putting back {what}")
        tried = _Tried()

        async def visit(index: int, agents: Agents) -> None:
            if index == way.since:
                await agents[way.slot].snapshot("before")
                if watched is not None:
                    await agents[way.slot].trace([watched.path, *watched.parts][:16])
                    tried.main = _main_of(agents[way.slot])
            if self._is_asked(way, index):
                await ask(index, agents)

        async def ask(index: int, agents: Agents) -> None:
            is_last = way.as_it_ends or index == self._question.last + way.at_end
            if is_last and watched is not None:
                tried.writes = await agents[way.slot].traced()
                declared = await agents[way.slot].declared(ways_to(watched.path))
                tried.declared = {path: (place.file, place.line) for path, place in declared.items()}
            paths = [change.path for change in changes]
            await agents[way.slot].restore("before", paths, born=way.born if way.emptied else None)

        tried.ran = await self._run(way, visit, ask, lines=watched is not None)
        execution = tried.ran.execution
        tried.matters = not self._question.is_broken(execution) and self._question.shows(execution) == way.appears
        return tried

    def _is_asked(self, way: Way, index: int) -> bool:
        """Whether what has changed is looked for, and put back, at this visit."""
        last = self._question.last + way.at_end
        if way.as_it_ends:
            return False
        return index == last or (way.each and way.since < index < last)

    async def _explained(
        self, by: Way, paths: Sequence[ObjectPath], question: Question, shown: frozenset[str]
    ) -> frozenset[str]:
        """Which places of another difference it explains that the same objects are put back."""
        possible = [
            way
            for way in ways(question.case, self._bench.workload)
            if (way.appears, way.as_it_ends) == (by.appears, by.as_it_ends)
        ]
        if not possible or by.each:
            return frozenset()
        asked = replace(possible[0], rehearsed=by.rehearsed, emptied=by.emptied)

        async def visit(index: int, agents: Agents) -> None:
            if index == asked.since:
                await agents[asked.slot].snapshot("before")
            if index == question.last and not asked.as_it_ends:
                await ask(index, agents)

        async def ask(_: int, agents: Agents) -> None:
            await agents[asked.slot].restore("before", paths, born=asked.born if asked.emptied else None)

        execution = (await _run(self._bench, question.case, asked, visit, ask)).execution
        if question.is_broken(execution):
            return frozenset()
        there = places_at(question.deviations(execution), question.last)
        if asked.appears and "status" in there:
            return shown  # another answer altogether: of what is in it nothing can be told
        return shown & there if asked.appears else shown - there

    async def _run(self, way: Way, visit: Visit, ask: Ending, *, lines: bool = False) -> Ran:
        return await _run(self._bench, self._question.case, way, visit, ask, lines=lines)


async def _run(bench: Bench, case: Case, way: Way, visit: Visit, ask: Ending, *, lines: bool = False) -> Ran:
    """Run the world of this way; `ask` is called when its slot is about to end, where it is asked then."""

    async def ending(slot: int, agents: Agents) -> None:
        if slot == way.slot:
            await ask(slot, agents)

    async def unrehearsed(agents: Agents) -> None:
        await agents[way.slot].snapshot("born")

    return await bench.run(
        case,
        way.schedule,
        visit,
        ending=ending if way.as_it_ends else None,
        lines=lines,
        rehearsed=(way.since, way.slot) if way.rehearsed else None,
        unrehearsed=unrehearsed,
        background=way.slot == BACKGROUND,
    )


def rank_told(change: Change, mention: Mention, programs: Collection[str]) -> tuple[int | bool, ...]:
    """The order of `naming.rank`, but after the app's own comes what the program that runs holds, where it was
    installed; and among each of these, and all others, what mentions the requests first, and caches, of which nobody
    can read whom they mention."""
    own, *rest = rank(change.path, change.kind, change.in_app)
    is_program = change.path.module.partition(".")[0] in programs
    is_told = change.kind == "lru_cache" or mention.of(change)
    return (own, not change.in_app and not is_program, not is_told, *rest)


def _named(way: Way, guilty: Change, tried: _Tried) -> Culprit:
    # The last write: an earlier one may only have made room (a defaultdict that was read, a job that was begun).
    writes = [(write.written_at, write.called_from or write.through) for write in reversed(tried.writes)]
    at, called = next(((at, called) for at, called in writes if at is not None), (None, None))
    made = next((tried.declared[path] for path in ways_to(guilty.path) if path in tried.declared), None)
    root = "" if tried.ran is None else tried.ran.root(way.slot)
    return culprit_of_object(guilty.text(tried.main), root, made, at, called, confirmed=True)


def _main_of(agent: AgentServer) -> str:
    """The name by which people know `__main__` in the first process that is the app's own program."""
    named = [greeting.main for greeting in agent.greetings if greeting.main != "__main__"]
    return named[0] if named else "__main__"


def ways_to(path: ObjectPath) -> list[ObjectPath]:
    """The path itself and the ways to what holds it, down to a module's own names."""
    steps = path.steps
    return [ObjectPath.of(steps[:length]) for length in range(len(steps), 1, -1)]

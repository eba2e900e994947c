"""Who held the state: first where it lies, then the object, the file, or the value made at boot, with its line.

A culprit is confirmed only where a counterfactual ran: the object put back, the disk handed on, the value carried
over. What confirmed one difference is kept, and tried again on the next that looks alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fungible.verify.blame.agent.connections import AgentError
from fungible.verify.blame.bench import Bench, Question
from fungible.verify.blame.constants import Constants
from fungible.verify.blame.culprit import Culprit, container_of
from fungible.verify.blame.files import file_in_layer, file_of_workers, prove_file
from fungible.verify.blame.memory import Memory
from fungible.verify.blame.proof import Proof
from fungible.verify.blame.randomness import Randomness
from fungible.verify.blame.seeds import Seeds
from fungible.verify.blame.starts import prove_start
from fungible.verify.blame.variants import Where, where_held
from fungible.verify.blame.way import Way, way_of_killed, way_of_workers, ways
from fungible.verify.workload.steps import Workload
from fungible.verify.world.laboratory import Laboratory

_UNREACHED = (AgentError, TimeoutError, ConnectionError, OSError)
"""Not a Python process, or one that does not carry the agent: the variants still speak."""


class Blame:
    """Finds the culprit of one difference at a time, until `latest` (see `Bench`); `say` is told what is tried."""

    def __init__(
        self,
        laboratory: Laboratory,
        workload: Workload,
        defaults: Mapping[str, str],
        folder: Path,
        *,
        latest: float,
        say: Callable[[str], None],
    ) -> None:
        self._bench = Bench(laboratory, workload, defaults, folder, latest)
        self._say = say
        self._proofs: list[Proof] = []
        self._suspects: list[Culprit] = []
        """What cannot be put back, so that a long search could neither prove it nor find another."""

    @property
    def is_blind(self) -> bool:
        """Whether it was seen that processes cannot be looked into."""
        return self._bench.is_silent

    async def culprit(self, question: Question, *, held_here: bool) -> Culprit:
        """The culprit of a difference; `held_here` says that the observer's own process seems to hold it."""
        self._bench.begin()
        self._say("asking whether it lies in memory, on disk or in the process's identity")
        if self._bench.is_silent:
            where = await where_held(question)
            found = await file_in_layer(self._bench, question) if where == "file" else None
            return replace(found or Culprit(), where=where)
        memory = Memory(self._bench, question, self._say)
        asked = ways(question.case, self._bench.workload, held_here=held_here)
        # Side by side: what the variants say, and what changed in memory.
        looking = asyncio.ensure_future(memory.look(asked[0]))
        where, _ = await asyncio.gather(where_held(question), asyncio.wait({looking}))
        found = None
        try:
            looking.result()
            if where == "file":
                proof = await prove_file(self._bench, question)
            else:
                proof = await memory.prove(asked)
            if proof is None:
                found = await self._known(question) or await self._known_suspect(memory, where)
            if found is None and proof is None and self._bench.goes_on() and not memory.is_disturbed:
                proof = await self._slowly(question, memory, asked, where)
            if proof is not None:
                found = replace(proof.culprit, where=proof.culprit.where or where)
                self._proofs.append(replace(proof, culprit=found))
            elif found is None and where == "memory":
                found = await memory.suspect()
                self._suspects += [] if found is None else [found]
        except _UNREACHED:
            found = None
        if found is None and where == "file":
            found = await file_in_layer(self._bench, question)
        return replace(found or Culprit(), where=(found and found.where) or where)

    async def _slowly(self, question: Question, memory: Memory, asked: Sequence[Way], where: Where) -> Proof | None:
        """What takes longer, side by side; the first of them that proves something is believed."""
        chance = Randomness(self._bench, question, self._say)
        if where == "memory":
            self._say("letting a process start that serves nothing")
            # What is made at the first request cannot be put back to what it was before it: one is rehearsed.
            found = await asyncio.gather(
                prove_start(self._bench, question), chance.prove(), memory.prove_rehearsed(asked)
            )
            proof = next((each for each in found if each is not None), None) or await memory.prove_emptied(asked)
        else:
            proof = await chance.prove()
        if proof is None and self._bench.goes_on():
            proof = await Seeds(self._bench, question, self._say).prove()
        if proof is not None or not self._bench.goes_on():
            return proof
        return await Constants(self._bench, question, self._say).prove()

    async def culprit_in_workers(self, question: Question) -> Culprit:
        """The culprit of a difference that shows when worker processes are replaced after every step."""
        self._bench.begin()
        memory = Memory(self._bench, question, self._say)
        way = way_of_workers(question.case, self._bench.workload)
        found: Culprit | None = None
        try:
            proof = await memory.prove([way])
            found = proof.culprit if proof is not None else await memory.suspect()
            if found is None:
                found = await file_of_workers(self._bench, question, way.schedule)
        except _UNREACHED:
            found = None  # not a Python program, or one that does not carry the agent
        on_disk = found is not None and found.file is not None
        return replace(found or Culprit(), where="file" if on_disk else "memory of a worker process")

    async def culprit_in_killed(self, question: Question) -> Culprit:
        """The culprit of what a store lacks, or has too much, once processes were killed in place of stopped."""
        self._bench.begin()
        memory = Memory(self._bench, question, self._say)
        try:
            proof = await memory.prove([way_of_killed(question.case, self._bench.workload)])
            found = proof.culprit if proof is not None else await memory.suspect()
        except _UNREACHED:
            found = None
        return replace(found or Culprit(), where="memory")

    async def explained(self, culprit: Culprit, question: Question, shown: frozenset[str]) -> frozenset[str]:
        """Which of the places where this difference shows (`proof.places_at`) what confirmed `culprit` explains."""
        for proof in self._proofs:
            if proof.culprit == culprit and proof.culprit.confirmed:
                return await self._ask(proof, question, shown)
        return frozenset()

    async def _known(self, question: Question) -> Culprit | None:
        """A known culprit that took long to find, if it explains what this question is about."""
        for proof in self._proofs:
            if not proof.simple and question.place in await self._ask(proof, question, frozenset({question.place})):
                return proof.culprit
        return None

    async def _known_suspect(self, memory: Memory, where: Where) -> Culprit | None:
        """What only can be suspected, where it was suspected before: the long search is not made again."""
        suspect = await memory.suspect() if self._suspects and where == "memory" else None
        return suspect if suspect in self._suspects else None

    async def _ask(self, proof: Proof, question: Question, shown: frozenset[str]) -> frozenset[str]:
        culprit = proof.culprit
        what = container_of(culprit.object or "") or culprit.file or f"the {culprit.where}"
        self._say(f"asking whether {what} explains it as well")
        try:
            return await proof.explained(question, shown)
        except _UNREACHED:
            return frozenset()

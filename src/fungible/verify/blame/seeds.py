"""Whether it is the hash seed that sets two processes apart, and which lines asked `hash` for a number they kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fungible.verify.blame.agent.told import Draw, Hashing
from fungible.verify.blame.bench import Agents, Bench, Question, Ran
from fungible.verify.blame.culprit import HASH_SEED, Culprit, culprit_of_object
from fungible.verify.blame.least import least, without_the_needless
from fungible.verify.blame.proof import Proof, places_at

_MOST_RUNS = 36


class Seeds:
    """Asks about one difference; `say` is told what is tried."""

    def __init__(self, bench: Bench, question: Question, say: Callable[[str], None]) -> None:
        self._bench = bench
        self._question = question
        self._say = say

    async def prove(self) -> Proof | None:
        """The hash seed, where the difference vanishes when all processes have the same; with the line that asked
        `hash`, where it vanishes as well when that line gets the same everywhere."""
        if self._question.case.schedule().slots < 2:
            return None
        self._say("letting all processes have the same hash seed")
        if (await self._run(self._question, equal_seeds=True))[0]:
            return None
        line = await self._line()

        async def explained(question: Question, shown: frozenset[str]) -> frozenset[str]:
            return shown - (await self._run(question, equal_seeds=True))[0]

        return Proof(line or Culprit(where=HASH_SEED, confirmed=True), explained)

    async def _line(self) -> Culprit | None:
        _, ran, asked = await self._run(self._question, rehearsed=True)  # so that the observer's lines are known
        found: dict[str, tuple[int, Draw]] = {}
        for slot in sorted(asked):  # the writer's lines first
            for draw in asked[slot]:
                found.setdefault(draw.key, (slot, draw))
        suspects = sorted(found, key=lambda key: found[key][1].called_from is None)
        if not suspects:
            return None

        async def matters(tried: Sequence[str]) -> bool:
            self._say("letting hash() be the same everywhere")
            return not (await self._run(self._question, hashing=Hashing(tuple(tried))))[0]

        def goes_on() -> bool:
            return self._bench.goes_on(_MOST_RUNS)

        # Who reads asks at another line than who writes: no half matters without the other.
        guilty = await least(suspects, matters, goes_on)
        if guilty is None:
            return None
        guilty, _ = await without_the_needless(guilty, matters, goes_on)
        slot, draw = found[guilty[0]]
        culprit = culprit_of_object("", ran.root(slot), written=draw.written_at, called=draw.called_from)
        return Culprit(
            written_at=culprit.written_at, called_from=culprit.called_from, where=HASH_SEED, confirmed=True
        )

    async def _run(
        self,
        question: Question,
        *,
        hashing: Hashing | None = None,
        equal_seeds: bool = False,
        rehearsed: bool = False,
    ) -> tuple[frozenset[str], Ran, dict[int, tuple[Draw, ...]]]:
        """Where the observer still deviates, and which lines asked `hash` before it."""
        schedule = question.case.schedule()
        asked: dict[int, tuple[Draw, ...]] = {}

        async def visit(index: int, agents: Agents) -> None:
            for slot, agent in agents.items():
                asked[slot] = await agent.hashed()

        ran = await self._bench.run(
            question.case,
            schedule,
            visit,
            rehearsed=(question.last, schedule.placement[-1]) if rehearsed else None,
            hashing=hashing or Hashing(()),
            equal_seeds=equal_seeds,
        )
        return places_at(question.deviations(ran.execution), question.last), ran, asked

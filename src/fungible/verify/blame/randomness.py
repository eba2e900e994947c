"""Which line drew the randomness that sets two boots apart: let both draw the same, and see whether it matters."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from fungible.verify.blame.agent.told import Chance, Draw
from fungible.verify.blame.bench import Agents, Bench, Question, Ran
from fungible.verify.blame.culprit import culprit_of_object
from fungible.verify.blame.least import least
from fungible.verify.blame.proof import Proof, places_at

_MOST_RUNS = 36


class Randomness:
    """Looks for the line behind one difference; `say` is told what is tried."""

    def __init__(self, bench: Bench, question: Question, say: Callable[[str], None]) -> None:
        self._bench = bench
        self._question = question
        self._say = say

    async def prove(self) -> Proof | None:
        """The line whose draws, made the same in every process that boots, make the difference vanish."""
        schedule = self._question.case.schedule()
        if schedule.slots < 2:
            return None
        self._say("letting all processes draw the same randomness while they boot")
        left, ran, drawn = await self._share(self._question, None)
        home = drawn.pop(schedule.placement[-1], ())
        elsewhere = {draw.key for found in drawn.values() for draw in found}
        # The app's own lines before those of its server.
        suspects = sorted((draw for draw in home if draw.key in elsewhere), key=lambda draw: draw.called_from is None)
        if left or not suspects:
            return None

        async def matters(tried: Sequence[Draw]) -> bool:
            what = tried[0].name or tried[0].key if len(tried) == 1 else f"what {len(tried)} lines drew"
            self._say(f"sharing {what}")
            return not (await self._share(self._question, tried))[0]

        guilty = await least(suspects, matters, lambda: self._bench.goes_on(_MOST_RUNS), together=True)
        if guilty is None:
            return None
        draw = guilty[0]
        root = ran.root(schedule.placement[-1])
        culprit = culprit_of_object(
            draw.name or "a value drawn by chance at boot",
            root,
            written=draw.written_at,
            called=draw.called_from,
            confirmed=len(guilty) == 1,
        )

        async def explained(question: Question, shown: frozenset[str]) -> frozenset[str]:
            return shown - (await self._share(question, guilty))[0]

        return Proof(culprit, explained)

    async def _share(
        self, question: Question, draws: Sequence[Draw] | None
    ) -> tuple[frozenset[str], Ran, dict[int, tuple[Draw, ...]]]:
        """Where the observer still deviates when these lines' draws (None: all) are shared."""
        drawn: dict[int, tuple[Draw, ...]] = {}

        async def visit(index: int, agents: Agents) -> None:
            for slot in agents.keys() - drawn.keys():
                drawn[slot] = await agents[slot].drawn()

        shared = None if draws is None else tuple(draw.key for draw in draws)
        chance = Chance(secrets.token_hex(16), shared)
        ran = await self._bench.run(question.case, question.case.schedule(), visit, chance=chance)
        return places_at(question.deviations(ran.execution), question.last), ran, drawn

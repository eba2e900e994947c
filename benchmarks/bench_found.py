"""How many requests it takes until a planted leak is found: by verify's worlds, by chance, by a home-made harness.

usage: bench_found.py [DRAWS] [--computed]; writes benchmarks/results/found.json.

Computed: a leak is a small state machine, its requests lie at random among n requests of which the others do nothing.
Every way starts with one warm world, and answers are compared with one in which a single process serves the same
requests; the count ends with the first answer that differs. Verify runs its worlds in their order: newborn, then the
masks. Random placement puts each request on one of two new processes, drawn anew for each world. The home-made
harness is two processes of one machine (so they share a disk) behind round robin: the workload once, and repeated on
the same processes. Each way is given up after as many requests as verify's worlds take in all. What is not found then
counts as infinite in the medians, which are null where more than half is not found.

Run: the leaks of tests/verify/leaks, all in one app, in real worlds: forked ones of the same schedules (newborn,
masks, round robin, random placements), and after the masks the booted late ones of verify; compared as verify
compares. Beside each is what the placement alone says (a pair shows when it is apart, a stale cache when the write is
apart from both reads).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from measure.result import RESULTS, machine, write

from fungible.app.load import load_app
from fungible.verify.cuts import MOST_IMPORTED, late_cuts
from fungible.verify.reference import Reference
from fungible.verify.schedule import schedule as schedules
from fungible.verify.workload.binding import infer_bindings
from fungible.verify.workload.file import load_workload
from fungible.verify.world.ground import prepare_ground
from fungible.verify.world.laboratory import Laboratory

RESULT = RESULTS / "found.json"
SIZES = (10, 50, 100)
RANDOM_WORLDS = 20
Memory = dict[str, Any]
Placements = Iterable[Sequence[int]]


@dataclass(frozen=True)
class Leak:
    """A leak that takes `requests` of a workload. `serve` answers one of them (its number among these) from the
    memory of the process, the store, and the number of the repetition; it may change both. `boot` is what a process,
    or the import that it was forked from, finds in its memory, from the number of that import. `on_disk`: the memory
    is a folder, which processes of one machine share."""

    name: str
    requests: int
    serve: Callable[[int, Memory, Memory, int], object]
    boot: Callable[[int], Memory] = lambda _: {}
    on_disk: bool = False


def _pair(number: int, memory: Memory, store: Memory, repetition: int) -> object:
    """A login, a basket, the state of a job: every repetition has its own, as its client would."""
    if number == 0:
        memory["kept"] = repetition
    return memory.get("kept") == repetition if number == 1 else None


def _key(number: int, memory: Memory, store: Memory, repetition: int) -> object:
    if number == 0:
        store["signed by"] = memory["key"]
    return store["signed by"] == memory["key"]


def _setting(number: int, memory: Memory, store: Memory, repetition: int) -> object:
    if number == 0:
        memory["setting"] = repetition + 1
    return memory["setting"]


def _limit(most: int) -> Callable[[int, Memory, Memory, int], object]:
    def serve(number: int, memory: Memory, store: Memory, repetition: int) -> object:
        memory["tries"] = memory.get("tries", 0) + 1
        return memory["tries"] >= most

    return serve


def _cache(number: int, memory: Memory, store: Memory, repetition: int, *, cleared: bool, reads: int) -> object:
    """Reads first, then the one write, then the last read; a row is kept from its `reads`th read on."""
    if number == reads:
        store["row"] = repetition + 1
        if cleared:
            memory.clear()
        return None
    if "row" in memory:
        return memory["row"]
    memory["reads"] = memory.get("reads", 0) + 1
    if memory["reads"] >= reads:
        memory["row"] = store.get("row", 0)
    return store.get("row", 0)


LEAKS: Final = (
    Leak("written here, read there (login, basket, job)", 2, _pair),
    Leak("a file written here, read there", 2, _pair, on_disk=True),
    Leak("a key made at import", 2, _key, boot=lambda number: {"key": number}),
    Leak("a setting read once, at boot", 2, _setting, boot=lambda _: {"setting": 0}),
    Leak("a limit of 3", 3, _limit(3)),
    Leak("a limit of 5", 5, _limit(5)),
    Leak("a cache that nobody clears", 3, lambda *call: _cache(*call, cleared=False, reads=1)),
    Leak("a stale cache, cleared where it is written", 3, lambda *call: _cache(*call, cleared=True, reads=1)),
    Leak("the same, kept from the second read on", 4, lambda *call: _cache(*call, cleared=True, reads=2)),
)


def answers(leak: Leak, at: Sequence[int], placement: Sequence[int], *, n: int, shared: bool) -> Iterator[object]:
    """What the leak's requests, which lie `at` these of `n` steps, answer in a world of this placement, which may be
    of several repetitions. Processes are forked from two imports, by the parity of their slot. `shared`: one folder
    for all processes."""
    store: Memory = {}
    memories: dict[int, Memory] = {}
    for repetition in range(len(placement) // n):
        for number, step in enumerate(at):
            slot = placement[repetition * n + step]
            own = 0 if shared and leak.on_disk else slot
            memory = memories.setdefault(own, leak.boot(slot % 2))
            yield leak.serve(number, memory, store, repetition)


def found_after(
    leak: Leak, at: Sequence[int], worlds: Placements, *, n: int, most: int, shared: bool = False
) -> float:
    """Requests until an answer differs from the warm one, warm world included; infinite where none does in `most`."""
    spent = n
    for placement in worlds:
        if spent >= most:
            break
        warm = answers(leak, at, [0] * len(placement), n=n, shared=shared)
        steps = [repetition * n + step for repetition in range(len(placement) // n) for step in at]
        for step, told, right in zip(steps, answers(leak, at, placement, n=n, shared=shared), warm, strict=True):
            if told != right:
                return spent + step + 1 if spent + step < most else float("inf")
        spent += len(placement)
    return float("inf")


def at_random(n: int, chance: random.Random) -> Iterator[list[int]]:
    """Placements on two processes, without end."""
    while True:
        yield [chance.randrange(2) for _ in range(n)]


def _ours(n: int) -> list[Sequence[int]]:
    return [each.placement for each in (schedules.newborn(n), *schedules.splits(n))]


def _ways(n: int, chance: random.Random) -> dict[str, Callable[[Leak, Sequence[int]], float]]:
    ours = _ours(n)
    most = n * (1 + len(ours))
    once = [[step % 2 for step in range(n)]]
    repeated = [[step % 2 for step in range(most - n)]]

    def verify(leak: Leak, at: Sequence[int]) -> float:
        return found_after(leak, at, ours, n=n, most=most)

    def by_chance(leak: Leak, at: Sequence[int]) -> float:
        return found_after(leak, at, at_random(n, chance), n=n, most=most)

    def robin(leak: Leak, at: Sequence[int]) -> float:
        return found_after(leak, at, once, n=n, most=most, shared=True)

    def robins(leak: Leak, at: Sequence[int]) -> float:
        return found_after(leak, at, repeated, n=n, most=most, shared=True)

    return {
        "verify": verify,
        "random placement": by_chance,
        "round robin, once": robin,
        "round robin, repeated": robins,
    }


def computed(draws: int) -> dict[str, Any]:
    """For each size and leak: medians of the requests until found, and the share that is never found."""
    rows: dict[str, Any] = {}
    chance = random.Random(13)
    for n in SIZES:
        ways = _ways(n, chance)
        most = n * (1 + len(_ours(n)))
        table: dict[str, Any] = {"given up after": most}
        for leak in LEAKS:
            places = [sorted(chance.sample(range(n), leak.requests)) for _ in range(draws)]
            table[leak.name] = {name: _summary([way(leak, at) for at in places]) for name, way in ways.items()}
        rows[f"n = {n}"] = table
    return rows


def _summary(counts: Sequence[float]) -> dict[str, float | None]:
    never = sum(each == float("inf") for each in counts) / len(counts)
    median = statistics.median_high(counts)
    found = [each for each in counts if each != float("inf")]
    return {
        "median": None if median == float("inf") else median,
        "most": max(found) if found else None,
        "never": round(never, 3),
    }


async def run_for_real() -> dict[str, Any]:
    """Each leak of the tests in real forked worlds: the requests until it is found, and by which world."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.verify.leaks import boots, caches, files, memory, places
    from tests.verify.leaks.experiments import write_app

    modules = [each for group in (memory, places, caches, boots, files) for each in group.ALL if not each.alone]
    with tempfile.TemporaryDirectory() as folder:
        app = write_app(Path(folder) / "app", modules, mended=False)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": folder, "XDG_STATE_HOME": f"{folder}/state"}
        written = load_workload(app / "workload.json")
        n = len(written.steps)
        chance = random.Random(13)
        placed = [schedules.newborn(n), *schedules.splits(n)]
        cuts = late_cuts(written, forked=True, most=MOST_IMPORTED)
        late = [schedules.relieved(n, each) for each in (cuts[::2], cuts[1::2])]
        worlds = [*placed, *late]
        robin = schedules.from_placement([step % 2 for step in range(n)], "round robin")
        others = [robin, *itertools.islice(map(schedules.from_placement, at_random(n, chance)), RANDOM_WORLDS)]
        async with prepare_ground(load_app(app), environment, say=lambda _: None) as ground:
            laboratory = Laboratory(ground)
            try:
                warm = schedules.warm(n)
                first = await laboratory.run(warm, written, skew=False)
                workload = infer_bindings(written, first.transcript)
                second = await laboratory.run(warm, workload, defaults=first.variables)
                fork = Reference(laboratory, await laboratory.open_forks(), workload, second.variables)
                await fork.warm_up()
                boot = Reference(laboratory, laboratory.boot, workload, second.variables)
                await boot.warm_up([second])
                imports = Reference(laboratory, await laboratory.open_imports(), workload, second.variables)
                imports.held_to((boot, fork))
                runs = await asyncio.gather(
                    *((imports if each in late else fork).run(each) for each in (*worlds, *others))
                )
                differing = [
                    {each.step for each in (imports if run.schedule in late else fork).deviations(run)}
                    for run in runs
                ]
            finally:
                await laboratory.close()
    rows, begin, agreeing, disagreeing = {}, 0, 0, []
    by_robin, by_random = differing[len(worlds)], differing[len(worlds) + 1 :]
    for leak in modules:
        steps = range(begin, begin + len(leak.requests))
        world = next((number for number, each in enumerate(differing[: len(worlds)]) if each & set(steps)), None)
        shown = None if world is None else next(step for step in steps if step in differing[world])
        rows[leak.name] = {
            "requests": len(leak.minimal),
            "verify": None if world is None or shown is None else n * (1 + world) + shown + 1,
            "found by": None if world is None else worlds[world].name,
            "worlds of verify that show it": sum(bool(each & set(steps)) for each in differing[: len(worlds)]),
            "random worlds that show it": sum(bool(each & set(steps)) for each in by_random),
            "round robin, once": bool(by_robin & set(steps)) and leak not in files.ALL,
        }
        stale = len(leak.minimal) == 3 and leak in caches.ALL and leak is not caches.NEVER
        for schedule, seen in zip((*worlds, *others), differing, strict=True):
            if schedule in late:
                continue
            slots = [schedule.placement[begin + step] for step in leak.minimal]
            if leak is caches.NEVER:
                slots = [slots[0], slots[2]]
            expected = slots[0] == slots[-1] != slots[1] if stale else len(set(slots)) > 1
            if expected == bool(seen & set(steps)):
                agreeing += 1
            else:
                disagreeing.append(f"{leak.name} in {schedule.name}")
        begin += len(leak.requests)
    return {
        "steps": n,
        "worlds": {"verify": len(worlds), "random": RANDOM_WORLDS},
        "leaks": rows,
        "the placement alone says the same": {"of": agreeing + len(disagreeing), "times": agreeing},
        "it says something else of": sorted(set(disagreeing)),
    }


def main() -> None:
    """Compute, run, and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("draws", nargs="?", type=int, default=1000, metavar="DRAWS", help="positions of each leak")
    parser.add_argument("--computed", action="store_true", help="run nothing; leave what the file says of runs")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    run = known.get("run in forked worlds") if options.computed else asyncio.run(run_for_real())
    result = {
        "computed: requests until found": computed(options.draws),
        "positions drawn for each leak": options.draws,
        "run in forked worlds": run,
        "machine": machine(before),
    }
    write("found", result)


if __name__ == "__main__":
    main()

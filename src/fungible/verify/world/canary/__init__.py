"""Planted leaks, the canaries: an experiment that cannot see these must not say that it found no difference.

The canary app runs through the very machinery that the user's app runs through: the same sandbox, stores that are
put back, schedules, client and comparison. Found must be: the counter, in the newborn world; the stale cache, in
the split world that parts a writer from two readers.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fungible.app.model import ProcessType
from fungible.runtime.ground.confinement import Confinement
from fungible.runtime.process.port import Ports
from fungible.services.folder import FolderStore
from fungible.verify.compare import compare, learn
from fungible.verify.schedule.schedule import Schedule, from_placement, newborn, warm
from fungible.verify.transcript import Transcript
from fungible.verify.workload.steps import Request, Workload
from fungible.verify.world.boot import BootBirth
from fungible.verify.world.lane import Lane, make_lane
from fungible.verify.world.slot import Site
from fungible.verify.world.world import Given, run_world

EXPECTED = ("counter", "stale cache")
_APP = Path(__file__).with_name("app.py")
_STEPS = (Request("GET", "/"), Request("POST", "/"), Request("GET", "/"))


async def find_canaries(
    given: Given, confinement: Confinement, ports: Ports, folder: Path, *, lanes: int = 2
) -> tuple[str, ...]:
    """Which of EXPECTED were found. `folder` is one of our own, for the canary's code and stores.

    `confinement` is that of the app's slots; only code and attached folders are exchanged.
    """
    content = folder / "content"
    content.mkdir(parents=True)
    shutil.copy(_APP, content / "app.py")
    made = [await _lane(folder, number) for number in range(lanes)]

    def confine(site: Site) -> Confinement:
        return replace(confinement, content=content, folder=site.folder, attached=site.mounts)

    def environment(own: Mapping[str, str]) -> dict[str, str]:
        return {"PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin", **own}

    own = replace(
        given,
        content=content,
        name="canary",
        folder=folder / "worlds",
        environment=environment,
        seed=f"{given.seed}/canary",  # worlds of the app that run meanwhile have the same numbers
    )
    birth = BootBirth(_type(), ports, confine)
    workload = Workload(_STEPS)
    schedules = [warm(3), warm(3), newborn(3), from_placement((0, 1, 0))]
    lanes_free: asyncio.Queue[Lane] = asyncio.Queue()
    for lane in made:
        lanes_free.put_nowait(lane)

    async def run(number: int, schedule: Schedule) -> Transcript:
        lane = await lanes_free.get()
        try:
            return (await run_world(own, schedule, workload, lane, birth, number)).transcript
        finally:
            lanes_free.put_nowait(lane)

    transcripts = await asyncio.gather(*(run(number, each) for number, each in enumerate(schedules, start=1)))
    for lane in made:
        for service in lane.services:
            await service.stop()
    relations = learn(transcripts[:2])
    found = []
    if any(each.step == 2 and "counter" in each.place for each in compare(relations, transcripts[2])):
        found.append("counter")
    if any(each.step == 2 and "value" in each.place for each in compare(relations, transcripts[3])):
        found.append("stale cache")
    return tuple(found)


async def _lane(folder: Path, number: int) -> Lane:
    store = FolderStore("CANARY_STORE", folder / f"store{number}", target=folder / "store", durable=False)
    await store.start()
    (store.source / "value").write_text("old")
    return await make_lane(number, (store,))


def _type() -> ProcessType:
    return ProcessType(
        name="web",
        command=f"{Path(sys.executable).name} app.py",
        line=0,
        processes=1,
        ready=None,
        callable=None,
        listen="port",
        max_in_flight=0,
        singleton=False,
        stop_signal="KILL",
        max_age=None,
        max_requests=0,
        memory=None,
        cpu=None,
        files=None,
        boot_timeout=20.0,
        drain_timeout=1.0,
        stop_timeout=1.0,
    )

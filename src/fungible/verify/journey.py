"""The app's workload as the proof of a build takes it: sent once, to one process, for the pages behind a login."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from fungible.app.model import App
from fungible.app.wording import counted
from fungible.runtime.build.journey import Journey, Visit
from fungible.verify.workload.extraction import body_text
from fungible.verify.workload.file import Workload, load_workload
from fungible.verify.workload.steps import Job, Request, step_text
from fungible.verify.world.client import DEFAULT_TIMEOUT, send
from fungible.verify.world.stores import unreachable
from fungible.verify.world.supply import resolve
from fungible.verify.world.visitor import Visitor


def journey_of(app: App) -> Journey | None:
    """What the workload files under `verify.workload` do, one after the other; None for an app without one.

    Pauses are left out, and jobs, which need processes of their own. Raises Problem for a file that cannot be read.
    """
    workloads = [load_workload(app.folder / path) for path in app.settings.verify.workload]
    if not workloads:
        return None

    async def visits(address: str) -> AsyncIterator[Visit]:
        for workload in workloads:
            named = f"{workload.path.name} " if workload.path is not None and len(workloads) > 1 else ""
            async for visit in _visits(workload, address, named):
                yield visit

    async def outbound(
        environment: Mapping[str, str], own: tuple[str, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        wanted = await resolve((*own, *app.settings.verify.outbound))
        return wanted, unreachable(environment, stores=True)

    jobs = sum(isinstance(step, Job) for workload in workloads for step in workload.steps)
    host = next((workload.host for workload in workloads if workload.host is not None), None)
    return Journey(visits, outbound, host, (f"{counted(jobs, 'job')} of the workload, not run here",) if jobs else ())


async def _visits(workload: Workload, address: str, named: str) -> AsyncIterator[Visit]:
    visitor = Visitor(workload)
    for index, step in enumerate(workload.steps):
        if not isinstance(step, Request):
            continue
        sent = visitor.request(step)
        # The page is to be read.
        sent = replace(sent, headers=tuple(each for each in sent.headers if each[0] != "accept-encoding"))
        answer = await send(address, sent, step.timeout or DEFAULT_TIMEOUT)
        visitor.took(step, sent, answer)
        kind = (answer.header("content-type") or "").partition(";")[0].strip().lower()
        yield Visit(
            what=named + step_text(workload, index),
            method=sent.method,
            address=sent.target,
            status=answer.status if answer.fault is None else 0,
            type=kind,
            text=body_text(answer),
            cookie=visitor.jar(step).header,
        )

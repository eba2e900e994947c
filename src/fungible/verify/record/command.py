"""`fungible verify -- COMMAND`: what the user's own tests send to one warm process, as a workload."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import shutil
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fungible.app.problem import Problem
from fungible.verify.findings import LIMITS, Findings
from fungible.verify.record.proxy import Proxy
from fungible.verify.record.record import recorded
from fungible.verify.record.upstream import upstream_of
from fungible.verify.schedule import schedule as schedules
from fungible.verify.schedule.coverage import coverage
from fungible.verify.workload.steps import Quiet, Workload
from fungible.verify.world.ground import Ground
from fungible.verify.world.laboratory import Laboratory
from fungible.verify.world.slot import Birth, Site, Slot

_LAST_LINES = 15
_PATIENCE = 5.0


@dataclass(frozen=True)
class Outcome:
    """What the command sent, and why that cannot be judged, if it cannot."""

    workload: Workload
    reasons: tuple[str, ...] = ()


def check_command(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Raises Problem where the command's program is not there."""
    if shutil.which(command[0], path=environment.get("PATH")) is None:
        raise Problem(f"-- {command[0]}: there is no such program; check its name and the PATH")


async def record_command(
    ground: Ground, command: Sequence[str], environment: Mapping[str, str], *, say: Callable[[str], None]
) -> Outcome:
    """Run `command`, outside of any sandbox, against one warm process, with `FUNGIBLE_URL` set.

    What it prints goes to stderr. Raises Problem where it cannot be started.
    """
    name = shlex.join(command)
    name = name if len(name) <= 80 else f"{name[:77]}..."
    birth = _Watched(ground.birth)
    proxies: list[Proxy] = []
    reasons: list[str] = []

    async def visit(index: int) -> None:
        if birth.slot is None or index > 0:
            return
        proxy = Proxy(upstream_of(birth.slot.address))
        proxies.append(proxy)
        url = await proxy.start()
        try:
            say(f"{name} against a warm process")
            code, last = await _run(command, {**environment, "FUNGIBLE_URL": url})
        finally:
            await proxy.stop()
        if code:
            how = f"ended with {code}" if code > 0 else f"was killed by signal {-code}"
            lines = "".join(f"\n    {line}" for line in last)
            reasons.append(f"`{name}` {how} against one warm process; its last lines:{lines}")
        elif not proxy.exchanges:
            reasons.append(f"`{name}` sent no request to the address in FUNGIBLE_URL")

    nothing = Workload((Quiet(),))
    execution = await Laboratory(ground).run(schedules.warm(1, {0}), nothing, birth=birth, skew=False, visit=visit)
    if execution.failures:
        reasons.append(f"the app did not come up: {execution.failures[0]}")
    workload = recorded(proxies[0]) if proxies else Workload(())
    return Outcome(workload, tuple(reasons))


def unjudged(ground: Ground, outcome: Outcome) -> Findings:
    """The report of a command whose requests are no reference."""
    return Findings(
        verdict="not_judged",
        app=ground.app.name,
        steps=len(outcome.workload.steps),
        worlds=1,
        executions=0,
        boots=1,
        seconds=0.0,
        isolation=ground.isolation.level,
        coverage=coverage((), len(outcome.workload.steps)),
        reasons=outcome.reasons,
        not_covered=LIMITS,
        warnings=outcome.workload.warnings,
    )


class _Watched:
    """A birth that remembers what it bore."""

    def __init__(self, birth: Birth) -> None:
        self._birth = birth
        self.slot: Slot | None = None

    async def bear(self, site: Site) -> Slot:
        """See `Birth.bear`."""
        self.slot = await self._birth.bear(site)
        return self.slot


async def _run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, list[str]]:
    """The command's exit code (minus the signal) and its last lines."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        raise Problem(f"-- {command[0]}: cannot be started: {error.strerror}") from None
    last: deque[str] = deque(maxlen=_LAST_LINES)
    reading = asyncio.ensure_future(_pass_on(process.stdout, last))
    try:
        code = await process.wait()
        # What it started in the background may hold its output open for ever.
        await asyncio.wait((reading,), timeout=1)
        return code, list(last)
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _PATIENCE)
        except TimeoutError:
            process.kill()
        raise
    finally:
        reading.cancel()


async def _pass_on(output: asyncio.StreamReader | None, last: deque[str]) -> None:
    line = b""
    while output is not None and (data := await output.read(8192)):
        sys.stderr.write(data.decode("utf-8", "replace"))
        sys.stderr.flush()
        *lines, line = (line + data).split(b"\n")
        last.extend(each.decode("utf-8", "replace")[:500] for each in lines)
        line = line[-8192:]
    if line:
        last.append(line.decode("utf-8", "replace")[:500])

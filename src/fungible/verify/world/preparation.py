"""Commands of the app that run before worlds: the release command, `setup`, and `reset`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from fungible.app.model import App
from fungible.app.problem import Exit, Problem
from fungible.runtime.ground.confinement import shell_command
from fungible.runtime.ground.release import Release
from fungible.runtime.process.one_off import run_one_off
from fungible.verify.world.traffic import Traffic


def preparation_of(app: App) -> list[tuple[str, str]]:
    """The commands that run once before the first world, each with the name of its step."""
    steps = []
    if app.settings.verify.reset is not None:
        steps.append(("reset", app.settings.verify.reset))
    if app.release_command is not None:
        steps.append(("release", app.release_command))
    if app.settings.verify.setup is not None:
        steps.append(("setup", app.settings.verify.setup))
    return steps


def reset_of(app: App, release: Release, folder: Path, traffic: Traffic) -> Callable[[], Awaitable[None]] | None:
    """What puts stores back that cannot be snapshot: the user's `reset` and then `setup`; None without a `reset`."""
    command = app.settings.verify.reset
    if command is None:
        return None

    async def reset() -> None:
        await run_step("reset", command, release, folder, traffic, content_writable=False)
        if app.settings.verify.setup is not None:
            await run_step("setup", app.settings.verify.setup, release, folder, traffic, content_writable=False)

    return reset


async def run_step(
    step: str, command: str, release: Release, folder: Path, traffic: Traffic, *, content_writable: bool
) -> None:
    """Run a command of the app's in its sandbox, its private folder in `folder`. Raises Problem where it fails."""
    argv = ("bash", "-c", command) if step in ("setup", "reset") else shell_command(command)
    outcome = await run_one_off(
        argv,
        replace(release, name="verify"),
        folder,
        name=f"{step}.1",
        stdin=None,
        stdout=2,
        stderr=2,
        content_writable=content_writable,
    )
    for connection in outcome.outbound:
        traffic.note(connection)
    if outcome.code != 0:
        raise Problem(
            f"the {step} command `{command}` ended with {outcome.code}; its output is above", Exit.BAD_INPUT
        )

"""What processes forked from one zygote share: nothing; and what its end means to them: nothing."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fungible.sandbox.spawn import Message, end_zygote, spawn

from .conftest import Bench

WAITS = "cat $STORE/fifo"


@pytest.fixture
def fifo(bench: Bench) -> Iterator[Path]:
    """What `WAITS` waits for."""
    path = bench.store / "fifo"
    os.mkfifo(path)
    yield path
    end_zygote()


def zygotes() -> list[int]:
    own = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in own if "sandbox" in Path(f"/proc/{pid}/cmdline").read_text()]


async def started(heard: list[Message]) -> None:
    while not heard:
        await asyncio.sleep(0.01)
    assert heard[0].kind == "started", heard


def kinds(heard: list[Message]) -> list[str]:
    return [message.kind for message in heard]


@pytest.mark.parametrize("level", ["full", "copy", "none"])
def test_the_command_gets_no_descriptors_but_its_three(bench: Bench, allowed: tuple[str, ...], level: str) -> None:
    if level not in allowed:
        pytest.skip(f"level {level} is not possible here")
    ran = bench.run(level, "exec ls /proc/self/fd")
    assert ran.out.split() == ["0", "1", "2", "3"], "the last is that of ls itself"


@pytest.mark.parametrize("level", ["full", "none"])
def test_the_end_of_a_process_is_heard_while_later_ones_run(
    bench: Bench, fifo: Path, allowed: tuple[str, ...], level: str
) -> None:
    if level not in allowed:
        pytest.skip(f"level {level} is not possible here")

    async def main() -> None:
        heard: list[list[Message]] = [[], [], []]
        children = []
        for number, told in enumerate(heard):
            children.append(spawn(bench.make_spec(level, WAITS, name=f"p{number}"), told.append))
            await started(told)
        assert len(zygotes()) == 1
        for child, told in zip(children, heard, strict=True):
            child.kill()
            await asyncio.wait_for(child.gone, 30)
            assert kinds(told)[-1] == "gone"
            assert not Path(f"/proc/{child.pid}").exists()
        assert not list(bench.base.glob("p[0-9]"))

    asyncio.run(main())


@pytest.mark.parametrize("level", ["full", "none"])
def test_the_end_of_the_zygote_is_the_end_of_nothing_else(
    bench: Bench, fifo: Path, allowed: tuple[str, ...], level: str
) -> None:
    if level not in allowed:
        pytest.skip(f"level {level} is not possible here")

    async def main() -> None:
        before: list[Message] = []
        child = spawn(bench.make_spec(level, f"{WAITS}; echo x > x; exit 7", name="p1"), before.append)
        await started(before)
        (first,) = zygotes()
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)

        after: list[Message] = []
        await asyncio.wait_for(spawn(bench.make_spec("none", "exit 3", name="p2"), after.append).gone, 30)
        assert [m.data["status"] for m in after if m.kind == "exited"] == [3]
        assert first not in zygotes()

        assert child.status is None
        os.close(os.open(fifo, os.O_WRONLY))
        await asyncio.wait_for(child.gone, 30)
        assert child.status == 7
        assert not list(bench.base.glob("p[0-9]"))

    asyncio.run(main())


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- >&- 2>&-"])
def test_where_we_have_no_standard_descriptors_a_command_has_null(bench: Bench, closed: str) -> None:
    said = bench.store / "said"
    look = 'a="$a $(readlink /proc/$$/fd/%d)"; '
    command = "".join(look % number for number in range(3)) + f'echo "$a" > {said}'
    spec = bench.make_spec("none", command, keep_stdin=True)
    code = (
        "import asyncio, os; from fungible.sandbox.spawn import spawn; from fungible.sandbox.spec import Spec\n"
        f"spec = Spec.from_json({spec.to_json()!r})\n"
        "async def main():\n"
        "    await spawn(spec, lambda m: None).gone\n"
        "asyncio.run(main())"
    )
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", code]
    subprocess.run(shell, check=True, timeout=60, input=b"", capture_output=True)
    found = ["null" if each == "/dev/null" else each.partition(":")[0] for each in said.read_text().split()]
    assert found == ["null" if mark in closed else "pipe" for mark in ("<&-", " >&-", "2>&-")]


def test_what_processes_used_is_counted_as_their_supervisors(bench: Bench) -> None:
    burn = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"
    end_zygote()
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    ran = bench.run("none", f"{burn}; times > $STORE/times")
    end_zygote()
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    minutes, _, seconds = (ran.store / "times").read_text().split()[0].partition("m")
    assert after - before >= int(minutes) * 60 + float(seconds.rstrip("s"))


@pytest.mark.parametrize("level", ["full", "none"])
def test_a_process_is_born_into_its_control_groups(bench: Bench, allowed: tuple[str, ...], level: str) -> None:
    if level not in allowed:
        pytest.skip(f"level {level} is not possible here")
    group = _make_control_group()
    if group is None:
        pytest.skip("no control group can be made here")
    try:
        ran = bench.run(level, "sh -c 'cat /proc/self/cgroup'", control_groups=(str(group),))
    finally:
        group.rmdir()  # at once: none of it is left, its launcher included
    assert group.name in ran.out


def test_a_control_group_that_cannot_be_entered_is_a_failure(bench: Bench) -> None:
    ran = bench.run("none", "echo ran", control_groups=(str(bench.base / "none"),))
    (failed,) = (message.data for message in ran.messages if message.kind == "failed")
    assert failed["path"] == str(bench.base / "none" / "cgroup.procs")
    assert ran.out == ""
    assert not ran.private.exists()


def _make_control_group() -> Path | None:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        mounted = Path("/sys/fs/cgroup") / controllers.removeprefix("name=")
        for parent in (mounted / own.lstrip("/"), mounted):
            group = parent / f"fungible-test-{os.getpid()}"
            try:
                group.mkdir()
            except OSError:
                continue
            if (group / "cgroup.procs").exists():
                return group
            group.rmdir()
    return None

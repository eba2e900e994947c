"""Each of the nine things that almanac_sticky keeps shows in worlds, and almanac itself shows none."""

import compileall
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import valkey

from tests.examples.example_apps import ALMANAC, STICKY, Answer, Slots, environment, play, run_python, steps_of

# In the order of workload.yaml.
PARTS = ("login", "basket", "row_cache", "upload", "signing_key", "rate_limit", "job_status", "stylesheet")
PARTS += ("boot_setting",)
ONLY_SPLIT = {"row_cache", "boot_setting"}  # a newborn knows nothing stale
World = Callable[[Path, str], list[Answer]]


def schedule(world: str, steps: int) -> list[int]:
    return {
        "warm": [0] * steps,
        "newborn": list(range(steps)),
        "split": [number % 2 for number in range(steps)],
        "late": [int(number == steps - 1) for number in range(steps)],
    }[world]


@pytest.fixture
def sticky(tmp_path: Path) -> Iterator[World]:
    first = environment(tmp_path / "home", DATABASE_URL=f"sqlite:///{tmp_path}/first.db")
    assert run_python(STICKY, first, "-m", "almanac_sticky.migrate").returncode == 0
    yield _worlds(tmp_path, STICKY, "almanac_sticky.app:app", first, lambda: None)


def _worlds(folder: Path, app: Path, target: str, env: dict[str, str], reset: Callable[[], object]) -> World:
    """Return a function that plays a workload in a world of its own, on a fresh copy of the database."""
    original = Path(env["DATABASE_URL"].removeprefix("sqlite:///"))
    saved: dict[str, str] = {}
    played = iter(range(1000))
    base = folder / "app"
    shutil.copytree(app, base, ignore=shutil.ignore_patterns(".venv", "uploads", "css"))
    compileall.compile_dir(base, quiet=1)

    def world(workload: Path, name: str) -> list[Answer]:
        reset()
        place = folder / f"world{next(played)}"
        place.mkdir()
        shutil.copy(original, place / "app.db")
        slots = Slots(base, target, place, env | {"DATABASE_URL": f"sqlite:///{place}/app.db"})
        placed = schedule(name, len(steps_of(workload)))
        try:
            if name != "newborn":
                for slot in sorted(set(placed)):
                    slots.bear(slot)

            def send(number, request):
                response = slots.ask(placed[number], request)
                if name == "newborn":
                    slots.kill(placed[number])
                return response

            return play(workload, send, saved if name == "warm" else dict(saved))
        finally:
            slots.close()
            shutil.rmtree(place)

    return world


def differing(warm: list[Answer], other: list[Answer]) -> list[int]:
    return [number for number, pair in enumerate(zip(warm, other, strict=True)) if pair[0] != pair[1]]


@pytest.mark.parametrize("part", PARTS)
def test_each_violation_shows_alone(sticky: World, part: str) -> None:
    workload = STICKY / "tests" / "workloads" / f"{part}.yaml"
    warm = sticky(workload, "warm")
    assert not differing(warm, sticky(workload, "warm"))
    if part not in ONLY_SPLIT:
        shown = differing(warm, sticky(workload, "newborn"))
    else:
        assert not differing(warm, sticky(workload, "newborn"))
        shown = differing(warm, sticky(workload, "late" if part == "boot_setting" else "split"))
    assert shown == {"login": [1], "basket": [2]}.get(part, [len(warm) - 1])


def test_one_workload_shows_all_nine(sticky: World) -> None:
    workload = STICKY / "tests" / "workload.yaml"
    parts = [part for part in PARTS for _ in steps_of(STICKY / "tests" / "workloads" / f"{part}.yaml")]
    together = [step for part in PARTS for step in steps_of(STICKY / "tests" / "workloads" / f"{part}.yaml")]
    assert steps_of(workload) == together
    warm = sticky(workload, "warm")
    assert not differing(warm, sticky(workload, "warm"))
    shown = {name: {parts[step] for step in differing(warm, sticky(workload, name))} for name in ("newborn", "split")}
    assert shown["newborn"] == set(PARTS) - ONLY_SPLIT
    assert shown["newborn"] | shown["split"] == set(PARTS)


@pytest.mark.parametrize("name", ["workload", "workload_tokens"])
def test_almanac_shows_none(
    name: str, tmp_path: Path, almanac: Callable[..., dict[str, str]], store: valkey.Valkey
) -> None:
    world = _worlds(tmp_path, ALMANAC, "almanac.web:app", almanac(), store.flushall)
    workload = ALMANAC / "tests" / f"{name}.yaml"
    warm = world(workload, "warm")
    assert not differing(warm, world(workload, "warm"))
    for other in ("newborn", "split"):
        assert not differing(warm, world(workload, other)), other

"""A recorded session replays on another process, with other ids, tokens and cookies."""

from __future__ import annotations

import asyncio
import os
import re
import stat
import sys
from pathlib import Path

import httpx
import pytest

from fungible.app.load import load_app
from fungible.app.model import App
from fungible.app.problem import Problem
from fungible.cli import main
from fungible.verify.record.command import check_command, record_command, unjudged
from fungible.verify.record.record import Options, record, recorded
from fungible.verify.schedule import schedule as schedules
from fungible.verify.workload.file import dump_workload, load_workload
from fungible.verify.workload.steps import Request, Workload
from fungible.verify.world.ground import prepare_ground
from fungible.verify.world.laboratory import Laboratory

from .record_apps import make_shop, recording, replay, served


def _csrf(page: str) -> str:
    found = re.search(r'csrf_token" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def visit(url: str, user: str, password: str = "s3cret") -> None:
    """A browser: log in, follow redirects by itself, add an item with a photo, look at it."""
    with httpx.Client(base_url=url, timeout=60) as browser:
        page = browser.get("/login").text
        browser.post("/login", data={"user": user, "password": password, "csrf_token": _csrf(page)})
        page = browser.get("/")
        if page.status_code != 200:
            return
        data = {"title": f"{user}'s *", "csrf_token": _csrf(page.text)}
        made = browser.post("/items", data=data, files={"photo": ("a.png", b"\x89PNG\xff\0", "image/png")})
        browser.get(made.headers["location"], headers={"Accept": "application/json"})


def _use_api(url: str) -> None:
    token = httpx.post(f"{url}/api/token", timeout=60).json()["access_token"]
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        made = client.post("/api/notes", json={"text": "one"})
        client.put(made.headers["location"], json={"text": "two"})
        tag = client.get(f"/api/notes/{made.json()['id']}").headers["etag"]
        client.get(made.headers["location"], headers={"If-None-Match": tag})
        client.delete(made.headers["location"])
        client.get(made.headers["location"])


async def _record(*sessions: tuple[object, ...]) -> tuple[Workload, list[int]]:
    with served(make_shop()) as address:
        async with recording(address) as (proxy, url):
            for session, *arguments in sessions:
                await asyncio.to_thread(session, url, *arguments)  # type: ignore[arg-type]
        workload = recorded(proxy)
        return workload, [each.answer.status for each in proxy.exchanges]


async def _replays(workload: Workload, statuses: list[int], folder: Path) -> None:
    path = folder / "recorded.json"
    path.write_text(dump_workload(workload))
    again = load_workload(path)
    assert again.steps == workload.steps
    assert await replay(again, first_id=501) == statuses


def test_a_session_with_forms_files_and_ids_replays(tmp_path: Path) -> None:
    async def run() -> None:
        workload, statuses = await _record((visit, "ann"))
        assert statuses == [200, 302, 200, 303, 200]
        await _replays(workload, statuses, tmp_path)
        text = dump_workload(workload)
        assert "csrf_token" in text and "Cookie" not in text and "session=" not in text

    asyncio.run(run())


def test_an_api_session_with_token_location_and_tag_replays(tmp_path: Path) -> None:
    async def run() -> None:
        workload, statuses = await _record((_use_api,))
        assert statuses == [200, 201, 200, 200, 304, 204, 404]
        await _replays(workload, statuses, tmp_path)

    asyncio.run(run())


def test_each_visitor_has_a_jar(tmp_path: Path) -> None:
    async def run() -> None:
        workload, statuses = await _record((visit, "ann"), (visit, "bob"), (visit, "eve", "guess"))
        jars = [step.jar for step in workload.steps if isinstance(step, Request)]
        assert jars == ["default"] * 5 + ["client2"] * 5 + ["client3"] * 3
        assert statuses[10:] == [200, 403, 302]
        await _replays(workload, statuses, tmp_path)

    asyncio.run(run())


def test_visitors_side_by_side_replay(tmp_path: Path) -> None:
    async def run() -> None:
        with served(make_shop()) as address:
            async with recording(address) as (proxy, url):
                visits = (asyncio.to_thread(visit, url, name) for name in ("ann", "bob", "cat"))
                await asyncio.gather(*visits, asyncio.to_thread(_use_api, url))
            workload = recorded(proxy)
        statuses = [each.answer.status for each in sorted(proxy.exchanges, key=lambda each: each.answered)]
        assert len(statuses) == 22
        await _replays(workload, statuses, tmp_path)

    asyncio.run(run())


SHOP = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.verify.record_apps import make_shop
app = make_shop()
"""

TESTS = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.verify.test_record import visit
visit(os.environ["FUNGIBLE_URL"], "ann")
print("all is well")
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def shop(tmp_path: Path) -> App:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shop.py").write_text(SHOP)
    (folder / "tests.py").write_text(TESTS)
    (folder / "Procfile").write_text(f"web: {sys.executable} -m flask --app shop run --port $PORT\n")
    return load_app(folder)


def _environment(folder: Path) -> dict[str, str]:
    # The checkout is named, so that the sandbox shows it to the app even where it lies below a hidden folder.
    return {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "CHECKOUT": str(Path(__file__).parents[2])}


def test_what_a_command_sends_runs_in_the_warm_world(shop: App, tmp_path: Path) -> None:
    async def run() -> None:
        environment = _environment(tmp_path)
        async with prepare_ground(shop, environment, lanes=1, say=lambda _: None) as ground:
            command = (sys.executable, str(shop.folder / "tests.py"))
            failed = await record_command(ground, (*command, "3"), environment, say=lambda _: None)
            assert "ended with 3" in failed.reasons[0] and "all is well" in failed.reasons[0]
            assert unjudged(ground, failed).verdict == "not_judged"
            passed = await record_command(ground, (*command, "0"), environment, say=lambda _: None)
            assert passed.reasons == ()
            assert passed.workload.host is not None
            warm = schedules.warm(len(passed.workload.steps))
            execution = await Laboratory(ground).run(warm, passed.workload)
        assert [answer.status for answer in execution.transcript.answers] == [200, 302, 200, 303, 200]

    asyncio.run(run())


def test_a_command_that_is_not_there_is_said_before_anything_is_built() -> None:
    with pytest.raises(Problem, match="no-such-program"):
        check_command(("no-such-program",), os.environ)
    check_command(("true",), os.environ)


def test_the_command_behind_dashes_is_no_workload(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["verify", "--app", "/nonexistent", "--"])
    assert ended.value.code == 2 and "behind `--`" in capfd.readouterr().err


def test_a_formation_that_is_not_running_is_said(shop: App, tmp_path: Path) -> None:
    async def run() -> None:
        with pytest.raises(Problem, match="fungible start"):
            await record(shop, Options(tmp_path / "w.json", 0, None, True), _environment(tmp_path))
        with pytest.raises(Problem, match="nothing answers at http"):
            await record(None, Options(tmp_path / "w.json", 0, "http://127.0.0.1:1", True), {})
        with pytest.raises(Problem, match="--to"):
            await record(None, Options(tmp_path / "no" / "w.json", 0, "http://127.0.0.1:1", True), {})

    asyncio.run(run())


def test_the_command_writes_a_private_file_when_it_is_interrupted(tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "shop.json"
        with served(make_shop()) as address:
            command = ("record", "--to", str(path), "--url", f"http://{address}")
            process = await asyncio.create_subprocess_exec(
                Path(sys.executable).with_name("fungible"),
                *command,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert process.stdout is not None
            url = (await process.stdout.readline()).decode().strip()
            await asyncio.to_thread(visit, url, "ann")
            process.send_signal(2)
            out, err = await process.communicate()
        assert process.returncode == 0
        assert out == b""
        assert "5 requests of 1 client" in err.decode() and "only you can read it" in err.decode()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(load_workload(path).steps) == 5

    asyncio.run(run())

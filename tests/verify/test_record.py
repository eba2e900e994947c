"""A recorded session replays on another process, with other ids, tokens and cookies."""

from __future__ import annotations

import asyncio
import re
import stat
import sys
from pathlib import Path

import httpx

from fungible.verify.record.record import recorded
from fungible.verify.steps import Request, Workload
from fungible.verify.workload import dump_workload, load_workload

from .record_apps import make_shop, recording, run_warm, served


def _csrf(page: str) -> str:
    found = re.search(r'csrf_token" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def _visit(url: str, user: str, password: str = "s3cret") -> None:
    """A browser: log in, follow redirects by itself, add an item with a photo, look at it."""
    with httpx.Client(base_url=url) as browser:
        page = browser.get("/login").text
        browser.post("/login", data={"user": user, "password": password, "csrf_token": _csrf(page)})
        page = browser.get("/")
        if page.status_code != 200:
            return
        data = {"title": f"{user}'s *", "csrf_token": _csrf(page.text)}
        made = browser.post("/items", data=data, files={"photo": ("a.png", b"\x89PNG\xff\0", "image/png")})
        browser.get(made.headers["location"], headers={"Accept": "application/json"})


def _use_api(url: str) -> None:
    token = httpx.post(f"{url}/api/token").json()["access_token"]
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client:
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
    execution = await run_warm(again, folder, first_id=501)
    assert [answer.status for answer in execution.transcript.answers] == statuses


def test_a_session_with_forms_files_and_ids_replays(tmp_path: Path) -> None:
    async def run() -> None:
        workload, statuses = await _record((_visit, "ann"))
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
        workload, statuses = await _record((_visit, "ann"), (_visit, "bob"), (_visit, "eve", "guess"))
        jars = [step.jar for step in workload.steps if isinstance(step, Request)]
        assert jars == ["default"] * 5 + ["client2"] * 5 + ["client3"] * 3
        assert statuses[10:] == [200, 403, 302]
        await _replays(workload, statuses, tmp_path)

    asyncio.run(run())


def test_visitors_side_by_side_replay(tmp_path: Path) -> None:
    async def run() -> None:
        with served(make_shop()) as address:
            async with recording(address) as (proxy, url):
                visits = (asyncio.to_thread(_visit, url, name) for name in ("ann", "bob", "cat"))
                await asyncio.gather(*visits, asyncio.to_thread(_use_api, url))
            workload = recorded(proxy)
        statuses = [each.answer.status for each in sorted(proxy.exchanges, key=lambda each: each.answered)]
        assert len(statuses) == 22
        await _replays(workload, statuses, tmp_path)

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
            await asyncio.to_thread(_visit, url, "ann")
            process.send_signal(2)
            out, err = await process.communicate()
        assert process.returncode == 0
        assert out == b""
        assert "5 requests of 1 client" in err.decode() and "only you can read it" in err.decode()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(load_workload(path).steps) == 5

    asyncio.run(run())

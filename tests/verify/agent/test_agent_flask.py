"""The agent in gunicorn and Flask: every kind of object that can hold state is found, put back and blamed."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fungible.verify.blame.agent import ObjectPath, differing_atoms
from fungible.verify.blame.agent.host import new_salt
from fungible.verify.blame.culprit import Culprit, culprit_of_object
from tests.verify.agent.serving import APP, Running, gunicorn, line_of, path_of, serving

pytestmark = pytest.mark.xdist_group("agent in flask")

STORE, VIEWS, LIBRARY = "shop/store.py", "shop/views.py", "lib/site-packages/cachelib_like.py"


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def shop(loop: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """gunicorn with one worker that has answered once."""
    root = tmp_path_factory.mktemp("shop")
    shutil.copytree(APP, root, dirs_exist_ok=True)
    context = serving(
        root, gunicorn("shop.views:app"), root, processes=2, python_path=str(root / "lib/site-packages")
    )
    running = loop.run(_entered(context))
    loop.run(running.get("/nothing"))
    yield running
    loop.run(context.__aexit__(None, None, None))


async def _entered(context) -> Running:  # type: ignore[no-untyped-def]
    return await context.__aenter__()


KINDS = [
    ("/module-dict", "shop.store.CARTS['ann']", "dict", (VIEWS, "module dict"), (STORE, "module dict")),
    ("/module-int", "shop.store.HITS", "attribute", (VIEWS, "module int"), (STORE, "module int")),
    ("/list", "shop.store.LOG[0]", "list", (VIEWS, "list"), (STORE, "list")),
    ("/set", "shop.store.SEEN", "set", (VIEWS, "set"), (STORE, "set")),
    (
        "/class-attribute",
        "shop.store.Basket.items['ann']",
        "dict",
        (VIEWS, "class attribute"),
        (STORE, "class attribute"),
    ),
    ("/class-value", "shop.store.Basket.total", "attribute", (VIEWS, "class value"), None),
    ("/slot", "shop.store.limiter.limit", "attribute", (VIEWS, "slot"), (STORE, "slot")),
    (
        "/mutable-default",
        "shop.store.default.__defaults__[0][0]",
        "list",
        (STORE, "mutable default"),
        (STORE, "mutable default"),
    ),
    ("/closure", "shop.store.step.<closure count>", "closure", (STORE, "closure"), (STORE, "closure")),
    (
        "/instance-attribute",
        "shop.store.registry.seen['ann']",
        "dict",
        (STORE, "instance attribute"),
        (STORE, "instance attribute"),
    ),
    ("/lru-cache", "shop.store.price", "lru_cache", (STORE, "lru_cache"), None),
    ("/array", "shop.store.READINGS", "bytes", (VIEWS, "array"), (STORE, "array")),
    ("/mapped", "shop.store.MAPPED", "bytes", None, (STORE, "mapped")),
    ("/umask", "os.umask()", "process setting", (VIEWS, "umask"), None),
    ("/locale", "locale.setlocale()", "process setting", (VIEWS, "locale"), None),
    ("/decimals", "decimal.getcontext()", "process setting", (VIEWS, "decimals"), None),
    ("/turns", "shop.store.TURNS", "counter", (VIEWS, "turns"), (STORE, "turns")),
    ("/tickets", "shop.store.TICKETS", "counter", (VIEWS, "tickets"), (STORE, "tickets")),
    (
        "/memory-database",
        "shop.store.DATABASE",
        "sqlite connection",
        (VIEWS, "memory database"),
        (STORE, "memory database"),
    ),
    ("/deque", "shop.store.RECENT[0]", "deque", (VIEWS, "deque"), (STORE, "deque")),
    ("/defaultdict", "shop.store.COUNTS['ann']", "dict", (VIEWS, "defaultdict"), (STORE, "defaultdict")),
    ("/ordered-dict", "shop.store.TABLE['b']", "dict", (VIEWS, "ordered dict"), (STORE, "ordered dict")),
    ("/library", "shop.store.cache._cache['ann']", "dict", (LIBRARY, "library"), (LIBRARY, "library")),
    (
        "/library-module",
        "cachelib_like._caches['']['ann']",
        "dict",
        (LIBRARY, "library module"),
        (LIBRARY, "library module"),
    ),
    ("/counter", "shop.store.NUMBERS", "counter", (VIEWS, "counter"), (STORE, "counter")),
    ("/extension", "shop.views.app.extensions['notes']['ann']", "dict", (VIEWS, "extension"), None),
    ("/context-variable", "shop.store.CURRENT", "context variable", (VIEWS, "context variable"), None),
    ("/environment", "os.environ['CURRENCY']", "environment", None, None),
]


@pytest.mark.parametrize(("path", "name", "kind", "written", "declared"), KINDS, ids=[one[0][1:] for one in KINDS])
def test_a_change_is_named_traced_and_put_back(
    loop: asyncio.Runner,
    shop: Running,
    path: str,
    name: str,
    kind: str,
    written: tuple[str, str] | None,
    declared: tuple[str, str] | None,
) -> None:
    async def run() -> None:
        await shop.agent.snapshot("before")
        first = await shop.get(path)
        change = await shop.change("before", name)
        assert (change.kind, change.restorable) == (kind, True), change.what
        assert change.in_app == name.startswith("shop.")

        restored = await shop.agent.restore("before", [change.path])
        assert (restored.suspects, restored.unknown) == ((), ())
        watched = await shop.agent.trace([change.path])
        again = await shop.get(path)
        assert again == first, "the state was not put back"
        writes = await shop.agent.traced()
        await shop.agent.trace([])
        if written is not None:
            file, mark = written
            assert watched == (change.path,)
            assert writes[0].written_at == (str(shop.root / file), line_of(shop.root / file, f"writes: {mark}"))
            assert writes[0].called_from is not None
            assert writes[0].called_from[0].endswith((VIEWS, STORE))
        places = await shop.agent.declared([change.path])
        if declared is not None:
            place = places[change.path]
            at = (str(shop.root / declared[0]), line_of(shop.root / declared[0], f"declared: {declared[1]}"))
            assert (place.file, place.line) == at
        await shop.agent.restore("before", [change.path])

    loop.run(run())


def test_a_thread_local_is_found_in_its_thread(loop: asyncio.Runner, shop: Running) -> None:
    async def run() -> None:
        await shop.get("/thread-local")
        await shop.agent.snapshot("before")
        second = await shop.get("/thread-local")
        change = await shop.change("before", "shop.store.LOCAL.hits")
        assert (change.kind, change.what) == ("thread-local", "1 -> 2")
        await shop.agent.restore("before", [change.path])
        await shop.agent.trace([change.path])
        assert await shop.get("/thread-local") == second
        (write,) = await shop.agent.traced()
        assert write.written_at == (str(shop.root / VIEWS), line_of(shop.root / VIEWS, "writes: threading.local"))

    loop.run(run())


def test_a_line_wrote_though_another_thread_goes_on_first(loop: asyncio.Runner, shop: Running) -> None:
    async def run() -> None:
        await shop.get("/noticed")
        await shop.agent.snapshot("before")
        await shop.get("/noticed")
        change = await shop.change("before", "shop.store.NOTES[1]")
        await shop.agent.trace([change.path])
        await shop.agent.restore("before", [change.path])
        await shop.get("/noticed")
        written = [write.written_at for write in await shop.agent.traced()]
        await shop.agent.trace([])
        assert written[-1] == (str(shop.root / VIEWS), line_of(shop.root / VIEWS, "writes: noticed by a thread"))

    loop.run(run())


def test_a_container_made_since_is_emptied_for_whoever_holds_it(loop: asyncio.Runner, shop: Running) -> None:
    async def run() -> None:
        await shop.agent.snapshot("born")
        assert await shop.get("/lent") == "1"
        made = await shop.change("born", "shop.store.LENT['counts']")
        assert (made.kind, made.holds) == ("dict", 0)
        await shop.agent.snapshot("before")
        assert await shop.get("/lent") == "2"
        change = await shop.change("before", "shop.store.LENT['counts']['ann']", born="born")
        assert change.holds == 0
        await shop.agent.restore("before", [change.path])
        assert await shop.get("/lent") == "2", "put back to what it was"
        await shop.agent.restore("before", [change.path], born="born")
        assert await shop.get("/lent") == "1", "emptied"
        await shop.agent.restore("born", [made.path])
        assert await shop.get("/lent") == "2", "the generator holds what is bound no more"

    loop.run(run())


def test_no_request_no_change(loop: asyncio.Runner, shop: Running) -> None:
    async def run() -> None:
        taken = await shop.agent.snapshot("before")
        assert not any(one.truncated for one in taken)
        await shop.agent.snapshot("again")
        assert await shop.agent.diff("before") == ()

    loop.run(run())


def test_a_request_without_state_changes_nothing_of_the_app(loop: asyncio.Runner, shop: Running) -> None:
    async def run() -> None:
        await shop.get("/nothing")
        await shop.agent.snapshot("before")
        await shop.get("/nothing")
        changes = await shop.agent.diff("before")
        assert [change.text() for change in changes if change.in_app] == []
        assert len(changes) <= 3, [change.text() for change in changes]

    loop.run(run())


def test_files_with_their_lines(loop: asyncio.Runner, shop: Running) -> None:
    async def run() -> None:
        folder = await shop.get("/file")
        seen = {(event.path, event.event): event for event in await shop.agent.files()}
        opened = seen[str(shop.root / "note.txt"), "open"]
        at = (str(shop.root / VIEWS), line_of(shop.root / VIEWS, "writes: file"))
        assert (opened.written_at, opened.called_from) == (at, at)
        renamed = seen[str(shop.root / "kept.txt"), "os.rename"]
        assert renamed.written_at == (str(shop.root / VIEWS), line_of(shop.root / VIEWS, "renames: file"))
        made = seen[folder, "tempfile.mkdtemp"]
        assert made.written_at == (str(shop.root / VIEWS), line_of(shop.root / VIEWS, "writes: tempfile"))
        database = seen[":memory:", "sqlite3.connect"]
        assert database.written_at is not None and database.written_at[0] == str(shop.root / STORE)
        shutil.rmtree(folder)

    loop.run(run())


def test_a_value_is_implanted(loop: asyncio.Runner, shop: Running) -> None:
    async def run() -> None:
        carts = path_of("shop.store", "CARTS")
        value, why = await shop.agent.export(carts)
        assert why is None
        value["v"].append(["bob", {"t": "list", "v": ["two"]}])
        assert await shop.agent.implant(carts, value) is None
        assert int(await shop.get("/module-dict")) >= 2
        hits = path_of("shop.store", "HITS")
        assert await shop.agent.implant(hits, 41) is None
        assert await shop.get("/module-int") == "42"
        registry, why = await shop.agent.export(path_of("shop.store", "registry"))
        assert why is None and registry["class"] == ["shop.store", "Registry"]
        nothing, why = await shop.agent.export(path_of("shop.store", "price"))
        assert nothing is None and why is not None and "lru_cache" in why

    loop.run(run())


def test_the_culprit_in_the_words_of_the_report(loop: asyncio.Runner, shop: Running) -> None:
    culprit = culprit_of_object(
        "shop.store.cache._cache['ann']",
        str(shop.root),
        declared=(str(shop.root / LIBRARY), 3),
        written=(str(shop.root / LIBRARY), 9),
        called=(str(shop.root / VIEWS), 40),
        confirmed=True,
    )
    assert culprit == Culprit(
        object="shop.store.cache._cache['ann']",
        file=None,
        declared_at="cachelib_like.py:3",
        written_at="cachelib_like.py:9",
        called_from="shop/views.py:40",
        confirmed=True,
    )


def test_state_of_an_app_that_a_factory_made(loop: asyncio.Runner, tmp_path: Path) -> None:
    shutil.copytree(APP, tmp_path, dirs_exist_ok=True)

    async def run() -> None:
        async with serving(tmp_path, gunicorn("factory:create_app()"), tmp_path, processes=2) as factory:
            await factory.missing("/warm")
            await factory.agent.snapshot("before")
            assert [await factory.get("/cart"), await factory.get("/note")] == ["1", "1"]
            cart = await factory.change("before", "factory.create_app.<locals>.cart.<closure carts>['ann']")
            note = await factory.change("before", "<flask.app.Flask>.extensions['notes']['ann']")
            restored = await factory.agent.restore("before", [cart.path, note.path])
            assert restored.restored == (cart.path, note.path)
            assert await factory.agent.trace([cart.path, note.path]) == (cart.path, note.path)
            await factory.get("/cart")
            await factory.get("/note")
            written = [write.written_at for write in await factory.agent.traced()]
            file = tmp_path / "factory.py"
            marks = ("writes: factory", "writes: factory extension")
            assert written == [(str(file), line_of(file, mark)) for mark in marks]
            place = (await factory.agent.declared([cart.path]))[cart.path]
            assert (place.file, place.line) == (str(file), line_of(file, "declared: factory"))

    loop.run(run())


def test_a_secret_made_at_import_differs_between_boots(loop: asyncio.Runner, tmp_path: Path) -> None:
    shutil.copytree(APP, tmp_path, dirs_exist_ok=True)
    salt = new_salt()

    async def boot() -> dict[ObjectPath, str]:
        command = gunicorn("shop.views:app")
        library = str(tmp_path / "lib/site-packages")
        async with serving(tmp_path, command, tmp_path, processes=2, lines=False, python_path=library) as running:
            await running.get("/nothing")
            return {atom.path: atom.digest for atom in await running.agent.boot(salt, "app")}

    async def run() -> None:
        differing = [path.text() for path in differing_atoms(await boot(), await boot())]
        assert "shop.views.app.config['SECRET_KEY']" in differing
        assert len(differing) <= 3, differing

    loop.run(run())

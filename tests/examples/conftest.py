import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import valkey

from fungible.build.assets.compile import compile_assets
from tests.examples import example_apps

Environment = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def store_url() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="alm-"))  # a socket's path must be short
    try:
        with example_apps.valkey_server(folder) as url:
            yield url
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def store(store_url: str) -> Iterator[valkey.Valkey]:
    """An empty Valkey."""
    with valkey.Valkey.from_url(store_url, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def almanac_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("almanac")


@pytest.fixture(scope="session")
def almanac_assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its compiled assets: these processes run on its source, not on a build."""
    content = tmp_path_factory.mktemp("build")
    shutil.copytree(example_apps.ALMANAC / "almanac/static", content / "almanac/static")
    compile_assets(content, ["almanac/static"], "/assets/", "pyproject.toml")
    return content / ".fungible/assets"


@pytest.fixture(scope="session")
def almanac_environment(almanac_folder: Path, almanac_assets: Path, store_url: str) -> Environment:
    """A function that gives the environment of one of almanac's processes; the tables are made."""

    def env(name: str = "by-hand", **config: str) -> dict[str, str]:
        scratch = almanac_folder / name / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        common = {
            "DATABASE_URL": f"sqlite:///{almanac_folder}/almanac.db",
            "VALKEY_URL": store_url,
            "FUNGIBLE_SESSION_DEVELOPMENT": "1",
            "ALMANAC_DEMO": "1",
            "ALMANAC_PRIVATE_URLS": "1",
            "ALMANAC_POLL_SECONDS": "0.05",
            "FUNGIBLE_ASSETS": str(almanac_assets),
            "FUNGIBLE_SCRATCH": str(scratch),
            "FUNGIBLE_PROCESS": name,
        }
        return example_apps.environment(almanac_folder / name, **(common | config))

    migrated = example_apps.run_python(example_apps.ALMANAC, env(), "-m", "almanac.migrate")
    assert migrated.returncode == 0, migrated.stderr
    copy(almanac_folder / "almanac.db", almanac_folder / "first.db")
    return env


@pytest.fixture(scope="session")
def almanac_webs(almanac_environment: Environment) -> Iterator[list[str]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                example_apps.gunicorn(example_apps.ALMANAC, "almanac.web:app", almanac_environment(f"web.{n}"))
            )[0]
            for n in (1, 2)
        ]


@pytest.fixture
def fresh(almanac_environment: Environment, almanac_folder: Path, store: valkey.Valkey) -> Callable[[], None]:
    """A function that puts database and Valkey back to how the release left them."""

    def restore() -> None:
        copy(almanac_folder / "first.db", almanac_folder / "almanac.db")
        store.flushall()

    return restore


@pytest.fixture
def almanac(almanac_environment: Environment, fresh: Callable[[], None]) -> Environment:
    fresh()
    return almanac_environment


@pytest.fixture
def webs(almanac: Environment, almanac_webs: list[str]) -> list[str]:
    """Two web processes of almanac on a fresh database; their URLs."""
    return almanac_webs


def copy(source: Path, target: Path) -> None:
    """Copy a database in one transaction, whoever has it open."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)

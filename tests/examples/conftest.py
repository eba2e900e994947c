import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import valkey

from tests.examples import example_apps


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


@pytest.fixture
def almanac(tmp_path: Path, store: valkey.Valkey, store_url: str) -> Callable[..., dict[str, str]]:
    """Return a function that gives the environment of one of almanac's processes; the tables are there."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def env(name: str = "by-hand", **config: str) -> dict[str, str]:
        common = {
            "DATABASE_URL": f"sqlite:///{tmp_path}/almanac.db",
            "VALKEY_URL": store_url,
            "ALMANAC_SECRET": "of the tests",
            "ALMANAC_DEMO": "1",
            "ALMANAC_PRIVATE_URLS": "1",
            "ALMANAC_POLL_SECONDS": "0.05",
            "FUNGIBLE_SCRATCH": str(scratch),
            "FUNGIBLE_PROCESS": name,
        }
        return example_apps.environment(tmp_path / name, **(common | config))

    migrated = example_apps.run_python(example_apps.ALMANAC, env(), "-m", "almanac.migrate")
    assert migrated.returncode == 0, migrated.stderr
    return env

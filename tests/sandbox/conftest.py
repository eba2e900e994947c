"""A sandboxed command, run to its end, and what was heard of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from fungible.sandbox.probe import run_probe
from fungible.sandbox.spawn import Child, Message, spawn
from fungible.sandbox.spec import Mount, Spec

REFUSING = Path(__file__).with_name("refusing.py")


@dataclass
class Ran:
    """What a sandboxed command did."""

    out: str
    messages: list[Message]
    app: Path
    store: Path
    private: Path

    @property
    def status(self) -> int | None:
        return next((m.data["status"] for m in self.messages if m.kind == "exited"), None)

    @property
    def wrote(self) -> list[str]:
        return next((m.data["paths"] for m in self.messages if m.kind == "wrote"), [])


@dataclass
class Bench:
    """A folder with an app and an attached store in it; `run` runs shell commands against them."""

    base: Path
    layer: str
    spec: dict[str, object] = field(default_factory=dict)

    @property
    def app(self) -> Path:
        return self.base / "app"

    @property
    def store(self) -> Path:
        return self.base / "store"

    def make_spec(self, level: str, command: str, name: str = "p1", **changes: object) -> Spec:
        private = self.base / name
        private.mkdir()
        spec = Spec(
            level=level,
            argv=("sh", "-c", command),
            environment={"PATH": os.environ["PATH"], "STORE": str(self.store)},
            private=str(private),
            source=str(self.app),
            target=str(self.app),
            mounts=(Mount(str(self.store), str(self.store), writable=True),),
            host_name="web-1",
            layer=self.layer,
            kept=(sys.prefix, sys.base_prefix),  # where a checkout below /tmp is hidden
        )
        return replace(spec, **changes)

    def run(
        self, level: str, command: str, meanwhile: Callable[[Child], object] | None = None, **changes: object
    ) -> Ran:
        spec = self.make_spec(level, command, **changes)
        messages: list[Message] = []

        async def main() -> bytes:
            with tempfile.TemporaryFile() as out:
                child = spawn(spec, messages.append, stdout=out.fileno(), stderr=out.fileno())
                if meanwhile is not None:
                    meanwhile(child)
                await asyncio.wait_for(child.gone, 60)
                out.seek(0)
                return out.read()

        said = asyncio.run(main())
        return Ran(said.decode(), messages, self.app, self.store, Path(spec.private))


@pytest.fixture(params=["/var/lib", "/tmp"], ids=["shown", "hidden"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Once where the folder stays visible, once below /tmp, which level full hides."""
    if not os.access(request.param, os.W_OK):
        pytest.skip(f"{request.param} is not writable")
    base = Path(tempfile.mkdtemp(prefix="fungible-test-", dir=request.param))
    (base / "app" / "uploads").mkdir(parents=True)
    (base / "app" / "a.txt").write_text("hello\n")
    (base / "store").mkdir()
    yield Bench(base, run_probe(str(base / "probe")).layer)
    shutil.rmtree(base, ignore_errors=True)  # launchers of killed supervisors may still be wiping


@pytest.fixture(scope="session")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The isolation levels of this machine."""
    return run_probe(str(tmp_path_factory.mktemp("probe"))).allowed


@pytest.fixture
def full(allowed: tuple[str, ...]) -> None:
    """Skips where the machine does not allow level full."""
    if "full" not in allowed:
        pytest.skip("level full is not possible here")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users reach. That of pytest is closed again whenever another run of it begins."""
    with tempfile.TemporaryDirectory(prefix="fungible-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def as_ordinary_user(script: str, folder: Path, *, refusing: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a Python script as uid 1001 in `folder` with this code on its path, on a machine that refuses as a profile
    of `refusing.py` says; skips where that cannot be done."""
    python = Path("/usr/bin/python3")
    if os.geteuid() != 0:
        pytest.skip("already an ordinary user")
    if not python.exists():
        pytest.skip("no Python that an ordinary user can run")
    source = Path(__file__).parents[2] / "src"
    path = f"{source}:{sysconfig.get_path('purelib')}"
    for part in (source, Path(sysconfig.get_path("purelib"))):
        if not _readable_for_others(part):
            pytest.skip(f"{part} is not readable for others")
    os.chown(folder, 1001, 1001)
    return subprocess.run(
        [
            *("setpriv", "--reuid", "1001", "--regid", "1001", "--clear-groups"),
            *((str(python), str(REFUSING), refusing) if refusing is not None else ()),
            *(str(python), "-c", script),
        ],
        cwd=folder,
        env={"PATH": os.defpath, "PYTHONPATH": path, "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def _readable_for_others(path: Path) -> bool:
    return all(part.stat().st_mode & 0o001 for part in (path, *path.parents) if part.is_dir())


assert sys.version_info >= (3, 11)

"""An app with an environment of its own, where no container's /tmp hides it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.runtime.web import small

_TRIES = r"""
import sys
VERSION = "one"
def tries():
    said = []
    for path in ("/x", "x", "/tmp/x", os.environ["FUNGIBLE_SCRATCH"] + "/x"):
        try:
            open(path, "w").close()
            said.append("written")
        except OSError as error:
            said.append(error.strerror)
    return ", ".join([*said, str(os.getuid()), os.environ.get("PLAN", ""), os.environ.get("API_TOKEN", "")])
"""
SERVER = small(
    me='"/".join([os.environ["FUNGIBLE_PROCESS"], os.environ["FUNGIBLE_RELEASE"], VERSION])',
    address='(sys.argv[1].partition(":")[0], int(sys.argv[1].partition(":")[2]))',
    at='{"/tries": tries}',
    before=_TRIES,
)
PROCFILE = """\
web: python server.py 127.0.0.1:$PORT
worker: python -c "import time; print('at work', flush=True); time.sleep(3600)"
release: python -c "import ssl, sqlite3, zoneinfo; print('migrated to', zoneinfo.ZoneInfo('Europe/Paris'))"
"""
SETTINGS = """\
boot_timeout = "20s"
drain_timeout = "5s"
stop_timeout = "5s"
[types.web]
processes = 3
ready = "/healthz"
"""


class Shop:
    """The app's `folder`, and commands for it with a state and an environment of their own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "shop"
        self.folder.mkdir()
        (self.folder / "server.py").write_text(SERVER)
        (self.folder / "Procfile").write_text(PROCFILE)
        (self.folder / "fungible.toml").write_text(SETTINGS)
        (self.folder / ".env").write_text("SECRET_OF_MINE=1\n")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root / "venv")], check=True)

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a file of the app."""
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def fungible(self, *words: str, code: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Fungible's for the app, which has to end with `code`."""
        environment = {
            "PATH": f"{self.root / 'venv' / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.root),
            "XDG_STATE_HOME": str(self.root / "state"),
            **more,
        }
        command = [str(Path(sys.executable).with_name("fungible")), *words, "--app", str(self.folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
        assert done.returncode == code, f"{words} is {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def image(self, *words: str) -> dict[str, object]:
        """Make its image; what the command says."""
        found: dict[str, object] = json.loads(self.fungible("image", "--no-boot", "--json", *words).stdout)
        return found


@contextmanager
def shop() -> Iterator[Shop]:
    """A new one, deleted at the end."""
    root = Path(tempfile.mkdtemp(prefix="fungible-shop-", dir="/var/tmp"))
    try:
        os.chmod(root, 0o755)
        yield Shop(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)

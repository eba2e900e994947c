"""Suites that nobody here wrote: Django's and Flask's own tests of sessions, against the kit's.

usage: python -m tests.kit.sessions.suites (or `make suites`). Fetches the source distributions of the installed
versions, because wheels have no tests; starts a Valkey; exits with 1 where a test fails. Each skip has its reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.kit.sessions.servers import running

HERE = Path(__file__).parent


def source(name: str, folder: Path) -> Path:
    """The unpacked source distribution of an installed package."""
    wanted = f"{name}=={version(name)}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "-d", str(folder)]
    subprocess.run([*pip, wanted], check=True)
    (archive,) = folder.glob(f"{name}-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def main() -> int:
    with tempfile.TemporaryDirectory() as home, running("valkey", Path(home)) as url:
        folder = Path(home)
        django = [sys.executable, str(HERE / "django_suite.py"), str(source("django", folder)), url]
        flask = source("flask", folder)
        words = [
            "-p",
            "flask_plugin",
            "-p",
            "no:cacheprovider",
            "-q",
            "-rs",
            "-c",
            os.devnull,
            "--rootdir",
            str(flask),
        ]
        pytest = [sys.executable, "-m", "pytest", *words, str(flask / "tests")]
        paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "SESSION_SUITE_URL": url, "PYTHONPATH": paths}
        codes = [subprocess.run(argv, env=environment, check=False).returncode for argv in (django, pytest)]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())

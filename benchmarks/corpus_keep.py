"""Run `fungible` as told, and keep what it said: `make corpus` wants more than the judge writes down.

usage: corpus_keep.py FOLDER verify --app DIR ...; the report goes to FOLDER/NAME.json, NAME being the app folder's,
and on to standard output as if nobody had been there; the exit code is that of `fungible`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Run, keep, pass on."""
    folder, command = Path(arguments[0]), arguments[1:]
    name = Path(command[command.index("--app") + 1]).name
    done = subprocess.run([Path(sys.executable).with_name("fungible"), *command], stdout=subprocess.PIPE)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_bytes(done.stdout)
    sys.stdout.buffer.write(done.stdout)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Run `fungible` as told, and keep what it said: `make corpus` wants more than the judge writes down.

usage: corpus_keep.py FOLDER verify --app DIR ...; the report goes to FOLDER/NAME.json, NAME being the app folder's,
and on to standard output; the exit code is that of `fungible`. Where the corpus lies on this machine ($CORPUS in the
app's `.env`) is nobody's business: its name stands for it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fungible.app.dotenv import parse_dotenv, resolve


def main(arguments: list[str]) -> int:
    """Run, keep, pass on."""
    folder, command = Path(arguments[0]), arguments[1:]
    app = Path(command[command.index("--app") + 1])
    done = subprocess.run([Path(sys.executable).with_name("fungible"), *command], stdout=subprocess.PIPE)
    report = done.stdout
    assigned = parse_dotenv((app / ".env").read_text(), ".env")
    corpus = resolve((each for each in assigned if each.name == "CORPUS"), {}, ".env").get("CORPUS")
    if corpus:
        report = report.replace(corpus.encode(), b"$CORPUS")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{app.name}.json").write_bytes(report)
    sys.stdout.buffer.write(report)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What 1,000 assets cost to build, beside collectstatic and servestatic's command, and whether they are right.

usage: bench_assets.py [ROUNDS]; writes benchmarks/results/assets.json. Every row is a process of its own over the
same 1,000 files: 300 style sheets (each refers to two pictures, two of three import another one), 300 scripts, 300
drawings, 100 pictures. Measured is CPU time (getrusage(2) of the children): how long it takes depends on what else
the machine does. Every round measures every row once; the least of a row is what to compare, and how far its median
lies above says how noisy the machine was. `whole` counts references in the hashed style sheets that name a file that
is there, by the name of its content.
"""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from measure.result import machine, write

WORDS = ("margin", "padding", "border", "width", "height", "display", "position", "content", "transition")
BIN = Path(sys.executable).parent
SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = ["django.contrib.staticfiles"]
STATIC_URL = "/static/"
STATICFILES_DIRS = ["{source}"]
STATIC_ROOT = "{target}"
STORAGES = {{"staticfiles": {{"BACKEND": "{storage}"}}}}
"""
DJANGO = "collectstatic, ManifestStaticFilesStorage (names only)"
SERVESTATIC_DJANGO = "collectstatic, servestatic's CompressedManifestStaticFilesStorage"
SERVESTATIC = "servestatic --all"
NAMES = "ours: names, references, SRI (no copies)"
OURS = "ours: names, references, SRI, br, zstd and gzip"
BUILD = "fungible build --no-boot, first"
AGAIN = "fungible build --no-boot, second"


def write_assets(folder: Path) -> None:
    """1,000 files, the same every time."""
    chance = random.Random(1)
    for kind in ("css", "js", "img"):
        (folder / kind).mkdir(parents=True)
    for number in range(300):
        rules = [f".r{n} {{ {chance.choice(WORDS)}: {chance.randrange(99)}px }}" for n in range(80)]
        images = [f".i{n} {{ background: url(../img/d{(number + n) % 300}.svg) }}" for n in (0, 7)]
        first = [f'@import "s{number - 1}.css";'] if number % 3 else []
        (folder / f"css/s{number}.css").write_text("\n".join([*first, *rules, *images]) + "\n")
        lines = [f"export function f{n}(a) {{ return a + {chance.randrange(9999)} }}" for n in range(80)]
        (folder / f"js/m{number}.js").write_text("\n".join(lines) + "\n")
        shapes = "".join(f'<circle cx="{chance.randrange(99)}" r="{chance.randrange(9)}"/>' for _ in range(40))
        (folder / f"img/d{number}.svg").write_text(f"<svg xmlns='http://www.w3.org/2000/svg'>{shapes}</svg>")
    for number in range(100):
        (folder / f"img/p{number}.png").write_bytes(chance.randbytes(20_000))


class Ground:
    """The folders of one run, and how each row is run; what it makes is in `target`."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.app = base / "app"
        self.source = self.app / "static"
        self.target = base / "target"
        write_assets(self.source)
        (self.app / "fungible.toml").write_text('[assets]\nroots = ["static"]\nurl = "/static/"\n')
        (self.app / "Procfile").write_text("web: true\n")
        self.state = {"XDG_STATE_HOME": str(base / "state"), "XDG_RUNTIME_DIR": str(base / "run")}
        (base / "run").mkdir()

    def django(self, storage: str) -> list[str]:
        """collectstatic with a storage."""
        text = SETTINGS.format(source=self.source, target=self.target, storage=storage)
        (self.base / "bench_settings.py").write_text(text)
        return [sys.executable, "-m", "django", "collectstatic", "--noinput", "-v0", "--settings=bench_settings"]

    def ours(self, copies: bool) -> list[str]:
        """The build's own code, without the command line and the seal around it."""
        plain = "" if copies else "c.compressed = lambda path, data: {}\n"
        code = (
            "from pathlib import Path\nimport fungible.build.assets.compile as c\n"
            f"{plain}c.compile_assets(Path({str(self.base / 'copy')!r}), ['static'], '/static/', 'x')\n"
        )
        shutil.rmtree(self.base / "copy", ignore_errors=True)
        shutil.copytree(self.app, self.base / "copy")
        return [sys.executable, "-c", code]

    def build(self, first: bool) -> list[str]:
        """The command; the first time with an empty store."""
        if first:
            shutil.rmtree(self.base / "state", ignore_errors=True)
        return [str(BIN / "fungible"), "build", "--no-boot", "--app", str(self.app)]

    def run(self, command: Sequence[str]) -> tuple[float, float]:
        """CPU and elapsed milliseconds of `command`."""
        shutil.rmtree(self.target, ignore_errors=True)
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        environment = {**os.environ, **self.state, "PYTHONPATH": str(self.base)}
        done = subprocess.run(command, env=environment, capture_output=True)
        if done.returncode != 0:
            raise SystemExit(done.stderr.decode())
        took, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return used * 1000, took * 1000


def whole(folder: Path) -> str:
    """How many references of the hashed style sheets name a file that is there, by the name of its content."""
    right = found = 0
    for sheet in folder.glob("css/s*.*.css"):
        for target in re.findall(r"""(?:url\(\s*["']?|@import\s+["'])([^"')]+)""", sheet.read_text()):
            found += 1
            right += bool(re.search(r"\.[0-9a-f]{12,16}\.", target)) and (sheet.parent / target).is_file()
    return f"{right} of {found}"


def main() -> None:
    """Measure, print and write."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="fg-") as name:
        ground = Ground(Path(name))
        manifest = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
        both = "servestatic.storage.CompressedManifestStaticFilesStorage"
        serve = [str(BIN / "servestatic"), "-q", "--all", str(ground.source), str(ground.target)]
        files = ground.base / "copy/.fungible/assets/files"
        rows: dict[str, tuple[Callable[[], list[str]], Path | None]] = {
            DJANGO: (lambda: ground.django(manifest), ground.target),
            NAMES: (lambda: ground.ours(False), files),
            SERVESTATIC_DJANGO: (lambda: ground.django(both), ground.target),
            SERVESTATIC: (lambda: serve, ground.target),
            OURS: (lambda: ground.ours(True), files),
            BUILD: (lambda: ground.build(True), None),
            AGAIN: (lambda: ground.build(False), None),
        }
        load = os.getloadavg()[0]
        used: dict[str, list[float]] = {row: [] for row in rows}
        took: dict[str, list[float]] = {row: [] for row in rows}
        made: dict[str, dict[str, object]] = {}
        for _ in range(rounds):
            for row, (prepare, folder) in rows.items():
                cpu, elapsed = ground.run(prepare())
                used[row].append(cpu)
                took[row].append(elapsed)
                if folder is not None:
                    every = [path for path in folder.rglob("*") if path.is_file()]
                    copies = {end: sum(path.name.endswith(end) for path in every) for end in (".gz", ".br", ".zstd")}
                    made[row] = {"files": len(every), "copies": copies, "whole": whole(folder)}
        least = {row: min(figures) for row, figures in used.items()}
        result = {
            "CPU milliseconds (min, median, max)": {
                row: [round(f) for f in (min(each), statistics.median(each), max(each))] for row, each in used.items()
            },
            "times collectstatic with names only (of the minima)": {
                row: round(figure / least[DJANGO], 2) for row, figure in least.items()
            },
            "elapsed milliseconds (min, median)": {
                row: [round(min(each)), round(statistics.median(each))] for row, each in took.items()
            },
            "noise (median over minimum)": {
                row: round(statistics.median(each) / min(each), 2) for row, each in used.items()
            },
            "made": made,
            "rounds": rounds,
            "machine": machine(load),
        }
    write("assets", result)


if __name__ == "__main__":
    main()

"""The programs and packages outside an app's folder that its build commands use."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

PACKAGERS = (
    *("node", "npm", "npx", "yarn", "pnpm", "bun", "bunx", "deno", "esbuild", "vite", "webpack", "rollup", "parcel"),
    *(
        "tailwindcss",
        "postcss",
        "sass",
        "sassc",
        "pysassc",
        "node-sass",
        "scss",
        "lessc",
        "stylus",
        "tsc",
        "swc",
        "coffee",
    ),
    *("babel", "uglifyjs", "terser", "cleancss", "csso", "lightningcss", "gulp", "grunt", "compass", "jammit"),
    *("yuicompressor", "closure-compiler"),
)
"""Programs that make assets. The run stage has to do without them."""

_INSTALLS = re.compile(r"\b(npm|pnpm|bun|yarn)\s+(ci|i|install|add)\b|(^|[;&|]\s*)yarn\s*($|[;&|])")
_BY_FRAMEWORKS = re.compile(
    r"\b(collectstatic|compilescss|compilestatic|webassets|assets:precompile|assets\s+build|manage\.py\s+compress)\b"
)
_WORD = re.compile(r"[A-Za-z0-9_.+-]+")
_LOCKS = (".package-lock.json", ".yarn-integrity", ".yarn-state.yml", ".modules.yaml")


def installs_node_modules(commands: Iterable[str]) -> bool:
    """Whether one of the commands installs packages into `node_modules` itself."""
    return any(_INSTALLS.search(command) for command in commands)


def makes_assets(commands: Iterable[str], roots: Collection[str]) -> bool:
    """Whether a build makes assets: it has `roots` of them, or one of its commands runs a packager, and more than to
    install packages."""
    rest = [_INSTALLS.sub(" ", command) for command in commands]
    return bool(roots) or any(
        _BY_FRAMEWORKS.search(command) or not set(PACKAGERS).isdisjoint(_WORD.findall(command)) for command in rest
    )


def programs_of(commands: Iterable[str], path: str) -> dict[str, str]:
    """Programs on the `path` that the commands name, by name: where they are. `npx` and `npm` bring `node` along."""
    words = {word for command in commands for word in _WORD.findall(command)}
    if words & set(PACKAGERS):
        words.add("node")
    found = {word: shutil.which(word, path=path) for word in sorted(words)}
    return {word: program for word, program in found.items() if program is not None}


def identity(programs: Mapping[str, str]) -> dict[str, str]:
    """What tells one version of each program from another without running it; of a Python, its packages as well."""
    found = {}
    for name, program in programs.items():
        real = os.path.realpath(program)
        status = os.stat(real)
        found[name] = f"{os.path.basename(real)} {status.st_size}"
        if os.path.basename(real).startswith("python"):
            found[name] += " " + " ".join(python_packages(program))
        if "node_modules" in real:
            found[name] += " " + _package_version(Path(real))
    return found


def python_packages(program: str) -> list[str]:
    """Names and versions of the packages that the Python at `program` sees in its own environment."""
    home = os.path.dirname(os.path.dirname(program))
    folders = glob.glob(f"{glob.escape(home)}/lib/python3*/*-packages")
    return sorted(os.path.basename(info)[:-10] for folder in folders for info in glob.glob(f"{folder}/*.dist-info"))


def bound_packages(folder: Path, bound: Iterable[str]) -> dict[str, str]:
    """What tells whether folders that a release only sees (`node_modules`, virtualenvs) hold other packages than
    before: what their installers wrote of them."""
    found = {}
    for name in bound:
        lock = next((folder / name / each for each in _LOCKS if (folder / name / each).is_file()), None)
        if lock is not None:
            found[name] = lock.read_text(errors="replace")
        else:
            found[name] = " ".join(python_packages(str(folder / name / "bin" / "python")))
    return found


def versions(programs: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """What each program says to `--version`, for the record; those that say nothing are left out."""
    found = {}
    for name, program in programs.items():
        if name not in PACKAGERS and not name.startswith(("python", "ruby", "make", "go", "cargo", "pip", "uv")):
            continue
        try:
            said = subprocess.run(
                [program, "--version"],
                capture_output=True,
                timeout=20,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        lines = (said.stdout or said.stderr).decode(errors="replace").splitlines()
        if said.returncode == 0 and lines:
            found[name] = lines[0].strip()[:100]
    return found


def _package_version(path: Path) -> str:
    for parent in path.parents:
        if parent.parent.name == "node_modules":
            try:
                return (parent / "package.json").read_text(errors="replace")
            except OSError:
                return ""
    return ""

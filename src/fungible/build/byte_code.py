"""Byte code of a build's Python files, compiled once: on a read-only disk every process would compile them anew.

Compiled by the app's own interpreter (the one that `python` means on its PATH), with the source's digest in place of
its time (PEP 552): the same source, the same byte code, wherever it lies.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

_PATIENCE = 300.0
# An edit is waited for: to import `compileall`, and the `site` of packages that none of this needs, would take longer
# than to compile the files of a small app.
_COMPILE = (
    "import py_compile, sys\n"
    "by_digest = py_compile.PycInvalidationMode.UNCHECKED_HASH\n"
    "for name in sys.stdin.buffer.read().decode('utf-8', 'surrogateescape').split('\\0'):\n"
    "    try:\n"
    "        py_compile.compile(name, doraise=True, invalidation_mode=by_digest)\n"
    "    except Exception:\n"
    "        pass\n"
)


def sources_of(content: Path, without: Collection[str]) -> list[str]:
    """Python files below `content`, but none in `node_modules`, virtualenvs and the folders `without`; sorted."""
    found = []
    for folder, folders, files in os.walk(content):
        inside = os.path.relpath(folder, content)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in ("node_modules", "__pycache__")
            and os.path.normpath(f"{inside}/{name}") not in without
            and not os.path.isfile(os.path.join(folder, name, "pyvenv.cfg"))
        )
        found += [os.path.normpath(f"{inside}/{name}") for name in files if name.endswith(".py")]
    return sorted(found)


async def compile_byte_code(content: Path, files: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Compile `files` (relative paths) in place; False where there is no Python to do it.

    Nothing of them is run. A file that does not compile is left to whoever imports it.
    """
    python = shutil.which("python", path=environment.get("PATH")) or shutil.which(
        "python3", path=environment.get("PATH")
    )
    if python is None:
        return False
    process = await asyncio.create_subprocess_exec(
        python,
        "-IS",
        "-c",
        _COMPILE,
        cwd=content,
        env={"PATH": environment.get("PATH", os.defpath), "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    text = "\0".join(files).encode("utf-8", "surrogateescape")
    try:
        await asyncio.wait_for(process.communicate(text), _PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()
        return False
    return process.returncode == 0

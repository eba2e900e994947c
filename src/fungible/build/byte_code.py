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
_COMPILE = """
import importlib.util, os, py_compile, sys
by_digest = py_compile.PycInvalidationMode.UNCHECKED_HASH
earlier, *names = sys.stdin.buffer.read().decode('utf-8', 'surrogateescape').split('\\0')
def is_carried(name):
    made = importlib.util.cache_from_source(name)
    with open(name, 'rb') as file, open(os.path.join(earlier, made), 'rb') as known:
        head = known.read(16)
        if head != importlib.util.MAGIC_NUMBER + b'\\1\\0\\0\\0' + importlib.util.source_hash(file.read()):
            return False
        os.makedirs(os.path.dirname(made), exist_ok=True)
        mode = os.fstat(file.fileno()).st_mode & 0o666 | 0o200
        with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), 'wb') as copy:
            copy.write(head + known.read())
    return True
for name in names:
    try:
        if earlier and is_carried(name):
            continue
    except Exception:
        pass
    try:
        py_compile.compile(name, doraise=True, invalidation_mode=by_digest)
    except Exception:
        pass
"""


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


async def compile_byte_code(
    content: Path, files: Sequence[str], environment: Mapping[str, str], earlier: Path | None = None
) -> bool:
    """Compile `files` (relative paths) in place; False where there is no Python to do it.

    What `earlier`, a release of the same app, has of a file that is the same is taken over: an edit compiles what it
    changed. Only of the same app, as the digest in byte code (SipHash, PEP 552) is none against forgers.
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
    text = "\0".join([str(earlier or ""), *files]).encode("utf-8", "surrogateescape")
    try:
        await asyncio.wait_for(process.communicate(text), _PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()
        return False
    return process.returncode == 0

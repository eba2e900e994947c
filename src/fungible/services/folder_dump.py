"""A folder's content as rows: texts as texts, databases as tables, repositories as what they commit."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

from fungible.services import sqlite_file, tree
from fungible.services.store import Row
from fungible.services.value import LONGEST_TEXT, MOST_ROWS, is_plain


def dump_folder(root: Path, database: str | None = None) -> dict[str, list[Row]]:
    """`file a.txt` -> its row; `file data.db: table t` -> the rows of a SQLite file's table.

    A text of at most `LONGEST_TEXT` bytes is shown with its mode, so that ids in it can be compared; any
    other file by size, sha256 and mode; a link by where it leads; an empty folder by its mode. Of a git
    repository (`repository NAME`) the refs are shown with the trees and subjects of their commits, instead
    of its own files, whose names and packing depend on the time. `database` names the file whose tables are
    listed plainly (`table users`).
    """
    content: dict[str, list[Row]] = {}
    repositories: list[str] = []
    files = 0
    for entry in tree.walk(root):
        if any(entry.name.startswith(inside) for inside in repositories):
            continue
        mode = entry.status.st_mode
        permissions = f"{stat.S_IMODE(mode):04o}"
        if stat.S_ISDIR(mode):
            if _is_repository(entry.path):
                repositories.append(entry.name + "/")
                content[f"repository {entry.name}"] = _references(entry.path)
            elif not any(entry.path.iterdir()):
                content[f"file {entry.name}/"] = [{"mode": permissions}]
            continue
        if stat.S_ISREG(mode) and sqlite_file.is_sidecar(entry.path):
            continue
        if entry.name == database and entry.status.st_size == 0:
            continue  # somebody connected and wrote nothing yet: a database without tables
        files += 1
        if files > MOST_ROWS:
            content["files"] = [{"rows_not_shown": True}]
            break
        if stat.S_ISREG(mode) and sqlite_file.is_database(entry.path):
            prefix = "" if entry.name == database else f"file {entry.name}: "
            for name, rows in sqlite_file.tables(entry.path).items():
                content[f"{prefix}table {name}"] = rows
        elif stat.S_ISREG(mode):
            content[f"file {entry.name}"] = [_file(entry.path, entry.status.st_size, permissions)]
        elif stat.S_ISLNK(mode):
            content[f"file {entry.name}"] = [{"link": os.fsencode(entry.path.readlink()).decode("utf-8", "replace")}]
    # Names that are not UTF-8 come with surrogates, which JSON cannot hold.
    return {key.encode("utf-8", "surrogateescape").decode("utf-8", "replace"): rows for key, rows in content.items()}


def _file(path: Path, size: int, mode: str) -> dict[str, Any]:
    with path.open("rb") as file:
        if size <= LONGEST_TEXT:
            content = file.read(LONGEST_TEXT + 1)
            try:
                text = content.decode("utf-8")
            except UnicodeDecodeError:
                text = None
            if text is not None and is_plain(text):
                return {"mode": mode, "text": text}
            file.seek(0)
        return {"mode": mode, "size": size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _is_repository(folder: Path) -> bool:
    """Whether a folder is what git calls a git directory (gitrepository-layout(5))."""
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


def _references(folder: Path) -> list[Row]:
    head = (folder / "HEAD").read_text(encoding="utf-8", errors="replace").strip()
    rows: list[Row] = [{"ref": "HEAD", "to": head if head.startswith("ref:") else "a commit"}]
    fields = ("%(refname)", "%(tree)%(*tree)", "%(contents:subject)")
    # The repository is an app's and its configuration is not trusted: for-each-ref runs nothing it names.
    command = [
        "git",
        "-c",
        "safe.directory=*",
        f"--git-dir={folder}",
        "for-each-ref",
        "--format=" + "%00".join(fields),
    ]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1"}
    try:
        shown = subprocess.run(command, env=environment, capture_output=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return [*rows, {"unreadable": "git is missing or does not know the repository"}]
    for line in shown.decode("utf-8", "replace").splitlines()[:MOST_ROWS]:
        reference, kept, subject = (*line.split("\0"), "", "")[:3]
        rows.append({"ref": reference, "tree": kept, "subject": subject})
    return rows

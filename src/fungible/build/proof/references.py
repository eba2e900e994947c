"""Proof that every asset that the app's templates, code and pages name is one that it has."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from fungible.app.problem import Exit, Problem
from fungible.app.wording import nearest, plain, shown
from fungible.build.assets.bundled import read_bundled
from fungible.build.assets.manifest import FILES, Manifest
from fungible.build.assets.naming import resolve
from fungible.build.proof.code import code_calls
from fungible.build.proof.html import read_page
from fungible.build.proof.templates import ASSET, FLASK, STATIC, SUFFIXES, TAGS, Call, template_calls

_LARGEST = 4 << 20


def prove_references(content: Path, roots: Iterable[str], manifest: Manifest | None) -> tuple[str, ...]:
    """See that what the app in `content` names is in its `manifest`, or in its `static` folder.

    Returns, a line each, what could not be told: names that are made at run time. Raises Problem, with file and line,
    for the first name of nothing.
    """
    roots = tuple(root.strip("/") for root in roots)
    django = any((found := read_bundled(content, root)) is not None and found.by == "Django" for root in roots)
    folders = _Static(content)
    unproved = []
    for path in _texts(content, roots):
        text = _read(content / path)
        if text is None:
            continue
        for call in code_calls(text) if path.endswith(".py") else template_calls(text):
            where = f"{plain(path)}:{call.line}"
            if call.function == FLASK:
                folders.check(path, where, call)
            elif manifest is None or (call.function == STATIC and not django):
                continue
            elif call.name is None:
                if call.function in (ASSET, TAGS):
                    unproved.append(f"{where}: the name of the asset is made at run time")
            elif call.name.strip("/") not in manifest.names:
                raise Problem(
                    f"{where}: {shown(call.name)} names no asset.{nearest(call.name, manifest.names)} Known are the "
                    f"files below {', '.join(roots)}; add the file, or mend the name.",
                    Exit.NO,
                )
    if manifest is not None:
        _check_documents(content, manifest)
    return tuple(unproved)


class _Static:
    """The app's `static` folders, which Flask serves by `url_for('static', filename=…)`."""

    def __init__(self, content: Path) -> None:
        self._content = content
        self._found = [path for path in _folders(content) if posixpath.basename(path) == "static"]

    def check(self, path: str, where: str, call: Call) -> None:
        """Refuse a name that is in none of them, where one lies beside the template's own folder."""
        parts = path.split("/")
        if "templates" not in parts or call.name is None:
            return
        beside = posixpath.join(*parts[: parts.index("templates")], "static")
        if beside not in self._found:
            return
        if not any((self._content / folder / call.name).is_file() for folder in self._found):
            raise Problem(
                f"{where}: {shown(call.name)} names no file: there is no {plain(beside)}/{plain(call.name)}; add it, "
                "or mend the name.",
                Exit.NO,
            )


def _check_documents(content: Path, manifest: Manifest) -> None:
    for path in manifest.files:
        if not path.endswith((".html", ".htm")):
            continue
        text = _read(content / FILES / path)
        for loaded in read_page(text).loaded if text is not None else ():
            target = resolve(loaded.url, path, manifest.url)
            if target is not None and target not in manifest.files:
                raise Problem(
                    f"{plain(path)}:{loaded.line}: the page loads {plain(loaded.url)}, and no asset is there; "
                    "mend the reference, or the packager's base (Vite: `base`), which must be assets.url.",
                    Exit.NO,
                )


def _texts(content: Path, roots: Collection[str]) -> Iterator[str]:
    for folder in ("", *_folders(content)):
        if any(folder == root or folder.startswith(root + "/") for root in roots):
            continue
        for entry in sorted(os.scandir(content / folder), key=lambda each: each.name):
            if entry.is_file(follow_symlinks=False) and entry.name.endswith((".py", *SUFFIXES)):
                yield f"{folder}/{entry.name}" if folder else entry.name


def _folders(content: Path) -> list[str]:
    found = []
    for folder, folders, _ in os.walk(content):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in ("node_modules", "__pycache__")
        )
        found += [os.path.relpath(os.path.join(folder, name), content) for name in folders]
    return found


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8") if path.stat().st_size <= _LARGEST else None
    except (OSError, UnicodeDecodeError):
        return None

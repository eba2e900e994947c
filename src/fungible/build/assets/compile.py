"""From the roots of a build to compiled assets: collected, named, compressed, written down."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fungible.app.problem import Exit, Problem
from fungible.app.wording import plain
from fungible.build.assets.bundled import Bundled, read_bundled
from fungible.build.assets.collect import collect
from fungible.build.assets.copies import Copies, integrity_of
from fungible.build.assets.manifest import FILES, FOLDER, MANIFEST, SUFFIXES, Entry, File, Manifest, media_type
from fungible.build.assets.naming import Named, check_references, fingerprinted
from fungible.build.assets.reading import read_texts
from fungible.build.links import link_or_copy


@dataclass(frozen=True)
class Compiled:
    """The manifest, and what could not be told of references, a line each."""

    manifest: Manifest
    unproved: tuple[str, ...]


def compile_assets(
    content: Path,
    roots: Iterable[str],
    url: str,
    settings_file: str,
    progress: Callable[[int, int], None] = lambda done, of: None,
    earlier: Iterable[Path] = (),
) -> Compiled:
    """Name, compress and write down the assets of the build in `content`, below `.fungible/assets` in it.

    What a packager has named keeps its place and gets its compressed copies beside it, for servers that look there.
    `progress` is told how many files of how many are done, in whatever thread; what builds in
    `earlier` have compressed already is linked to. Raises Problem for what does not fit,
    and OSError.
    """
    roots = tuple(dict.fromkeys(root.strip("/") for root in roots))
    sources = {source.name: source for source in collect(content, roots, settings_file)}
    if any((content / FOLDER).glob("*")):
        raise Problem(f"{FOLDER}: this folder is Fungible's own; let no build command write there.", Exit.NO)
    bundles = {root: found for root in roots if (found := read_bundled(content, root)) is not None}
    # A packager's notes name sources; they are for us, and no page asks for them.
    notes = {bundled.manifest for bundled in bundles.values()}
    sources = {name: source for name, source in sources.items() if source.shown not in notes}
    own = {name: source for name, source in sources.items() if source.root not in bundles}
    names, entries = _names(bundles)
    known = {*sources, *names}
    hashed = {path for bundled in bundles.values() for path in bundled.hashed}
    texts, large = read_texts(
        sources.values(),
        # Beside what Django has named lie the originals, which nobody is sent to.
        lambda source: source.root not in bundles or bundles[source.root].by != "Django" or source.name in hashed,
    )
    unproved = tuple(f"{source.shown}: too large to look into" for source in large)
    unproved += check_references(sources, texts, known.__contains__, url)
    named = fingerprinted(own, texts, names, url)
    files = [*named.values(), *(Named(sources[name], name, name in hashed) for name in sources if name not in own)]
    _distinct(files)
    served = _write(content, files, frozenset(bundles), progress, Copies(earlier))
    names = {**{name: name for name in sources if name not in own}, **names, **{n: f.path for n, f in named.items()}}
    manifest = Manifest(url, names, served, entries)
    (content / FOLDER).mkdir(parents=True, exist_ok=True)
    (content / MANIFEST).write_text(manifest.text(), encoding="utf-8")
    return Compiled(manifest, unproved)


def _names(bundles: dict[str, Bundled]) -> tuple[dict[str, str], dict[str, Entry]]:
    names: dict[str, str] = {}
    entries: dict[str, Entry] = {}
    for bundled in bundles.values():
        for name, path in bundled.names.items():
            if names.get(name, path) != path:
                raise Problem(
                    f"{bundled.manifest}: {plain(name)} is in another root's manifest too; rename it.", Exit.NO
                )
            names[name] = path
        entries |= bundled.entries
    return names, entries


def _distinct(files: Iterable[Named]) -> None:
    taken: dict[str, Named] = {}
    for file in files:
        other = taken.setdefault(file.path, file)
        if other is not file:
            raise Problem(
                f"{file.source.shown} and {other.source.shown} would both be served as {plain(file.path)}; mend it.",
                Exit.NO,
            )


def _write(
    content: Path,
    files: list[Named],
    in_place: frozenset[str],
    progress: Callable[[int, int], None],
    copies: Copies,
) -> dict[str, File]:
    folder = content / FILES
    for parent in {posixpath.dirname(file.path) for file in files}:
        (folder / parent).mkdir(parents=True, exist_ok=True)
    served: dict[str, File] = {}
    # The compressors work outside the interpreter's lock.
    with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1)) as pool:
        for count, (file, described) in enumerate(
            pool.map(lambda f: _write_one(folder, f, in_place, copies), files), 1
        ):
            served[file.path] = described
            progress(count, len(files))
    return served


def _write_one(folder: Path, file: Named, in_place: frozenset[str], copies: Copies) -> tuple[Named, File]:
    target = folder / file.path
    data = file.source.path.read_bytes() if file.data is None else file.data
    if file.data is None:
        link_or_copy(file.source.path, target)
    else:
        target.write_bytes(data)
    integrity = integrity_of(data)
    encodings = copies.put_beside(target, data, integrity)
    for coding in encodings if file.source.root in in_place else ():
        own = file.source.path.with_name(file.source.path.name + SUFFIXES[coding])
        if not own.exists():
            link_or_copy(target.with_name(target.name + SUFFIXES[coding]), own)
    described = File(media_type(file.path), len(data), integrity, file.hashed, encodings)
    return file, described

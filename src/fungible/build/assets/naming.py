"""Names that change with what a file holds, given in the order of dependence: what a style sheet refers to first.

A name is fingerprinted over the bytes as they are served, that is with the new names of what they refer to in them: a
changed picture changes its style sheet's name too.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from fungible.app.problem import Exit, Problem
from fungible.app.wording import plain
from fungible.build.assets.collect import Source
from fungible.build.assets.css import Reference, rewrite
from fungible.build.assets.reading import SCRIPTS, Text
from fungible.build.assets.scripts import source_map

_DOCUMENTS = (".html", ".htm")


@dataclass(frozen=True)
class Named:
    """A file under the name that it is served by; `data` are its bytes where they have been rewritten."""

    source: Source
    path: str
    hashed: bool
    data: bytes | None = None


def fingerprinted(
    sources: Mapping[str, Source], texts: Mapping[str, Text], taken: Mapping[str, str], url: str
) -> dict[str, Named]:
    """A new name for each of the `sources`, by their own names; `texts` are what those of them say that are text.

    `taken` are names that a packager has given already: what an app calls a file -> the file. `url` is where assets
    are served. HTML keeps its name: it is an address. Raises Problem, with file and line, for a reference to what
    there is not, for a script that imports another one by its old name, and for style sheets that import each other.
    """
    references = {name: _references(sources[name], text) for name, text in texts.items() if name in sources}
    done: dict[str, Named] = {}
    for name in _in_order(sources, references, url):
        source = sources[name]

        def new_name(reference: Reference, source: Source = source) -> str | None:
            target = resolve(reference.url, source.name, url)
            if target is None:
                return None
            path = done[target].path if target in done else taken.get(target)
            return None if path is None else _as_written(reference, path, source.name, url)

        data = None
        if references.get(name):
            before = texts[name].text
            text = rewrite(before, references[name], new_name)
            data = text.encode("utf-8") if text != before else None
        keeps = name.lower().endswith(_DOCUMENTS)
        path = name if keeps else with_digest(name, _digest(source.path, data))
        done[name] = Named(source, path, not keeps, data)
    return done


def resolve(url: str, referrer: str, base: str) -> str | None:
    """The name of the asset that `url` means in the asset `referrer`, None where it means no asset of ours.

    `base` is the URL below which assets are served. The result may lead out (`../x`) or name nothing.
    """
    split = urlsplit(url.strip())
    at = urlsplit(base)
    elsewhere = (split.scheme or at.scheme, split.netloc) != (at.scheme, at.netloc) or not at.netloc
    if (split.scheme or split.netloc) and elsewhere:
        return None
    path = unquote(split.path)
    if not path:
        return None
    if path.startswith("/"):
        return posixpath.normpath(path[len(at.path) :]) if path.startswith(at.path) else None
    return posixpath.normpath(posixpath.join(posixpath.dirname(referrer), path))


def with_digest(name: str, digest: str) -> str:
    """`css/site.css` -> `css/site.DIGEST.css`."""
    folder, _, file = name.rpartition("/")
    stem, dot, suffix = file.partition(".") if file.endswith(".map") else file.rpartition(".")
    new = f"{stem}.{digest}{dot}{suffix}" if dot and stem else f"{file}.{digest}"
    return f"{folder}/{new}" if folder else new


def missing(source: Source, reference: Reference, target: str) -> Problem:
    """What to say of a reference to what there is not."""
    return Problem(
        f"{source.shown}:{reference.line}: {plain(reference.url)} names no asset: there is no "
        f"{plain(posixpath.normpath(posixpath.join(source.root, target)))}; add the file, or mend the reference.",
        Exit.NO,
    )


def _references(source: Source, read: Text) -> tuple[Reference, ...]:
    """What is rewritten in it."""
    if not read.readable:
        raise Problem(f"{source.shown}: the file is not UTF-8; save it as UTF-8.", Exit.NO)
    if not source.name.lower().endswith(SCRIPTS):
        return read.references
    if read.references:
        first = read.references[0]
        raise Problem(
            f"{source.shown}:{first.line}: it imports {plain(first.url)} by a name that changes with its content; "
            "let a bundler that writes a manifest (Vite, esbuild --metafile) build it, and name the bundler's output "
            "as a root.",
            Exit.NO,
        )
    return source_map(read.text)


def _in_order(
    sources: Mapping[str, Source], references: Mapping[str, tuple[Reference, ...]], url: str
) -> Iterator[str]:
    """The names, each after those that it refers to."""
    state: dict[str, bool] = {}
    for first in sources:
        if first in state:
            continue
        state[first] = False
        waiting = [(first, _targets(first, sources, references, url))]
        while waiting:
            name, targets = waiting[-1]
            following = next(targets, None)
            if following is None:
                state[name] = True
                waiting.pop()
                yield name
                continue
            target, reference = following
            if target not in state:
                state[target] = False
                waiting.append((target, _targets(target, sources, references, url)))
            elif not state[target] and target != name:
                raise Problem(
                    f"{sources[name].shown}:{reference.line}: {plain(reference.url)} refers back to what refers to "
                    "it, so neither can be named after its content; take one of the two references out.",
                    Exit.NO,
                )


def _targets(
    name: str, sources: Mapping[str, Source], references: Mapping[str, tuple[Reference, ...]], url: str
) -> Iterator[tuple[str, Reference]]:
    for reference in references.get(name, ()):
        target = resolve(reference.url, name, url)
        if target is not None and target in sources:
            yield target, reference


def check_references(
    sources: Mapping[str, Source], texts: Mapping[str, Text], known: Callable[[str], bool], url: str
) -> tuple[str, ...]:
    """See that what style sheets and modules refer to is there; returns what could not be told, a line each.

    `known` says of a name whether it is that of a file that is served. A source map that is missing harms nobody.
    Raises Problem for the first reference to what there is not.
    """
    unproved = []
    for name, read in texts.items():
        source = sources[name]
        for reference in read.references:
            if reference.url.split("?")[0].split("#")[0].endswith(".map"):
                continue
            target = resolve(reference.url, name, url)
            if target is None:
                path = urlsplit(reference.url)
                if path.path.startswith("/") and not path.scheme and not path.netloc:
                    unproved.append(f"{source.shown}:{reference.line}: {plain(reference.url)} is outside {url}")
            elif not known(target):
                raise missing(source, reference, target)
    return tuple(unproved)


def _as_written(reference: Reference, path: str, referrer: str, url: str) -> str:
    split = urlsplit(reference.url)
    if split.path.startswith("/") or split.netloc:
        new = url + quote(path)
    else:
        new = quote(posixpath.relpath(path, posixpath.dirname(referrer) or "."))
    query = f"?{split.query}" if split.query or "?#" in reference.url else ""  # `font.eot?#iefix`
    end = query + (f"#{split.fragment}" if split.fragment else "")
    return new + "".join(f"\\{c}" if c in "\"'()\\ \n" else c for c in end)


def _digest(path: Path, data: bytes | None) -> str:
    if data is not None:
        return hashlib.sha256(data).hexdigest()[:16]
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]

"""`fungible image`: build, prove, and make an image of it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fungible.app.model import App
from fungible.app.problem import Exit, Problem
from fungible.app.wording import plain
from fungible.engines.command_line import ask
from fungible.engines.description import describe
from fungible.engines.image.archive import write_archive
from fungible.engines.image.content import File, Layer
from fungible.engines.image.image import OWN, Wanted, image_of
from fungible.engines.image.last import Last, remember
from fungible.engines.image.reference import reference_of
from fungible.engines.image.router import router_image
from fungible.runtime.build.build import Options as BuildOptions
from fungible.runtime.build.build import build_and_prove, write_out
from fungible.runtime.build.journey import Plan
from fungible.runtime.ground.folders import folders_for

ENGINES = ("docker", "podman")
_SHOWN = 12


@dataclass(frozen=True)
class Options:
    """What the command line says: the image's reference (None: name and build), where to write the archive, the
    engine to load it into (None: the first there is, where nothing is written), what else belongs in, and whether to
    boot the build first; `plan` says what a client does at the app."""

    tag: str | None
    out: Path | None
    engine: str | None
    include: Sequence[Path]
    boot: bool
    plan: Plan


@dataclass(frozen=True)
class Made:
    """An image: its `reference`, the one that no other image has (`pinned`), the `digest` of its manifest, that of
    the `build` in it; `router` is the reference of the one beside it, `unproved` what the build's proof left open."""

    reference: str
    pinned: str
    router: str
    digest: str
    build: str
    layers: tuple[Layer, ...]
    out: Path | None
    engine: str | None
    unproved: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """For a machine."""
        return {
            "image": self.reference,
            "pinned": self.pinned,
            "router": self.router,
            "digest": self.digest,
            "build": self.build,
            "layers": [{"about": each.about, "files": _files(each), "bytes": _bytes(each)} for each in self.layers],
            "out": str(self.out) if self.out else None,
            "engine": self.engine,
            "unproved": list(self.unproved),
        }

    def text(self) -> str:
        """For people."""
        parts = ", ".join(f"{each.about} {_bytes(each) / (1 << 20):.1f} MiB" for each in self.layers)
        where = f"written to {self.out}" if self.out else f"loaded into {self.engine}"
        lines = [
            f"{self.reference} ({parts})",
            self.router,
            self.digest,
            *(f"not proved: {each}" for each in self.unproved),
        ]
        return "\n".join([*lines, where])


async def make_image(app: App, options: Options, operating_system: Mapping[str, str]) -> Made:
    """Make the image; raises Problem for what is not in order, with the build's exit code where that fails."""
    _check(app, options)
    engine = options.engine or (None if options.out else _engine_here())
    if engine is not None:
        await asyncio.to_thread(ask, engine, "version")  # before anything is built for it
    repository = reference_of(options.tag, "--tag").repository if options.tag else app.name
    folders = folders_for(app.state_name, operating_system).make()
    try:
        proved = await build_and_prove(app, BuildOptions(None, options.boot, False, options.plan), operating_system)
        build = proved.built.build
        # The folder stays: hashed assets of the build before are taken over from it, for pages loaded earlier.
        content = folders.state / "image"
        await asyncio.to_thread(write_out, build, content, app)
        wanted = Wanted(
            app=app,
            description=describe(app, (repository, ""), build.digest[:_SHOWN], {}),
            content=content,
            bound=proved.built.bound,
            search=operating_system.get("PATH", ""),
            include=options.include,
        )
        image = await asyncio.to_thread(image_of, wanted, repository, options.tag, build.digest)
        router = await asyncio.to_thread(router_image, f"{repository}-router")
        with tempfile.TemporaryDirectory(prefix="fungible-image-") as folder:
            path = options.out.absolute() if options.out else Path(folder) / "image.tar"
            try:
                written, _ = await asyncio.to_thread(write_archive, path, [image, router])
            except OSError as error:
                where = plain(error.filename or path)
                raise Problem(f"{where}: the image cannot be written ({error.strerror})", Exit.NOT_ALLOWED) from None
            if engine is not None:
                await asyncio.to_thread(ask, engine, "load", "--quiet", "--input", str(path))
        reference, beside = options.tag or written.pinned, str(router.reference)
        remember(folders.state, Last(reference, beside))
        unproved = (*build.record.unproved, *(proved.boot.unproved if proved.boot is not None else ()))
        return Made(
            reference=reference,
            pinned=written.pinned,
            router=beside,
            digest=written.digest,
            build=build.digest,
            layers=image.layers,
            out=options.out,
            engine=engine,
            unproved=unproved,
        )
    finally:
        folders.leave()


def _check(app: App, options: Options) -> None:
    """Raises Problem for what cannot come to an image, before anything is built for it."""
    for each in options.include:
        if not each.exists():
            raise Problem(f"--include {plain(each)}: there is no such file or folder")
    if options.out is not None:
        if not options.out.absolute().parent.is_dir():
            raise Problem(f"--out {plain(options.out)}: there is no folder {plain(options.out.absolute().parent)}")
        if options.out.is_dir():
            raise Problem(f"--out {plain(options.out)}: this is a folder; name a file in it")
    if str(app.folder).startswith(OWN):
        raise Problem(f"{plain(app.folder)}: every container has a {OWN[:-1]} of its own; keep the app elsewhere")


def _engine_here() -> str:
    found = next((each for each in ENGINES if shutil.which(each)), None)
    if found is None:
        raise Problem(
            f"neither {' nor '.join(ENGINES)} is here to load the image into; write it to a file: --out FILE.tar",
            Exit.NOT_ALLOWED,
        )
    return found


def _files(layer: Layer) -> int:
    return sum(isinstance(each, File) for each in layer.entries)


def _bytes(layer: Layer) -> int:
    files = (each for each in layer.entries if isinstance(each, File))
    return sum(each.source.stat().st_size if each.source else len(each.content) for each in files)

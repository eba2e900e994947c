"""`fungible export`: what an engine is told, written to a folder or printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fungible.app.model import App
from fungible.app.problem import Exit, Problem
from fungible.app.wording import plain
from fungible.build.digests import input_key
from fungible.build.seal import EXPORTED, read_tree
from fungible.engines.description import Description, check_attached, describe, left_behind
from fungible.engines.exported import Exported
from fungible.engines.files import put
from fungible.engines.fingerprint import release_name
from fungible.engines.image.last import Last, last_image
from fungible.engines.image.reference import reference_of
from fungible.engines.image.router import router_reference
from fungible.engines.swarm.stack import Published, stack_files
from fungible.runtime.ground.folders import folders_for
from fungible.runtime.ground.stage import load_config, reading

ENGINES = ("kubernetes", "swarm", "systemd")
_MARK = EXPORTED
"""In a folder that an export wrote: for which engine, and what it wrote there, a path a line. The next export for
that engine takes these away."""


@dataclass(frozen=True)
class Wish:
    """What the command line says. `behind` is whether another proxy stands before the router, None for the engine's
    usual; `port` is the router's and `first_port` that of the first process on a shared machine, None likewise."""

    engine: str
    image: str | None
    router: str | None
    policy: bool
    behind: bool | None
    port: int | None
    out: Path | None
    first_port: int | None = None


def export(app: App, wish: Wish, operating_system: Mapping[str, str]) -> Exported:
    """The files and what is to be said of them; with `wish.out` they are written there.

    Raises Problem for an engine that is not known, for what it cannot run, and for a folder that cannot be written.
    """
    _check_options(wish)
    folders = folders_for(app.state_name, operating_system)
    config = load_config(folders)
    check_attached(app, config)
    try:
        state = folders.make().state
        images = _images(app, wish, last_image(state))
        build = _code_of(app, wish.out) if wish.engine == "systemd" else reference_of(images[0], "--image").version
        release = release_name(build, config, state)
        description = describe(app, images, release, config, networks=wish.engine != "systemd")
    finally:
        folders.leave()
    exported = _exported(description, wish)
    behind = left_behind(app, config)
    if wish.out is not None:
        write(exported.files, wish.out, app.folder, wish.engine)
    return Exported(exported.files, (*((behind,) if behind else ()), *exported.notes))


def write(files: Mapping[str, str], out: Path, app: Path, engine: str) -> None:
    """Write the files below `out`: a new folder, an empty one, or that of an earlier export, whose other files go.

    Raises Problem for any other folder, and where it cannot be written.
    """
    out = out.absolute()
    mark = out / _MARK
    if out == app or out in app.parents:
        raise Problem(f"--out {plain(out)}: this is the app's own folder; name another one")
    if out.exists() and not mark.is_file() and (not out.is_dir() or any(out.iterdir())):
        raise Problem(f"--out {plain(out)}: this is there already, and no export of Fungible's; name another folder")
    try:
        first, *before = mark.read_text().splitlines() if mark.is_file() else [engine]
        if first != engine:
            raise Problem(f"--out {plain(out)}: this is an export for {plain(first)}; name another folder")
        put(out, files)
        for path in set(before) - set(files):
            if not path.startswith("/") and ".." not in path.split("/"):
                (out / path).unlink(missing_ok=True)
        put(out, {_MARK: "".join(f"{line}\n" for line in (engine, *sorted(files)))})
    except OSError as error:
        where = plain(error.filename or out)
        raise Problem(f"{where}: the export cannot be written ({error.strerror})", Exit.NOT_ALLOWED) from None


def _check_options(wish: Wish) -> None:
    """Raises Problem for an option that says nothing to the engine."""
    for option, value, engines in (
        ("--policy", wish.policy or None, ("kubernetes",)),
        ("--port", wish.port, ("swarm", "systemd")),
        ("--first-port", wish.first_port, ("systemd",)),
        ("--image", wish.image, ("kubernetes", "swarm")),
        ("--router-image", wish.router, ("kubernetes", "swarm")),
    ):
        if value is not None and wish.engine not in engines:
            raise Problem(f"{option}: it is for {' and '.join(engines)}, and says nothing to {wish.engine}")


def _exported(description: Description, wish: Wish) -> Exported:
    if wish.engine == "kubernetes":
        from fungible.engines.kubernetes.export import Options, export_folder, export_stream

        options = Options(policy=wish.policy, behind=True if wish.behind is None else wish.behind)
        if wish.out is None:
            return export_stream(description, options)
        return export_folder(description, options, str(wish.out))
    if wish.engine == "swarm":
        port = 80 if wish.port is None else wish.port
        secrets = {name: f"{description.name}_{name}" for name in description.secrets}
        files = stack_files(description, Published(port), secrets, behind=bool(wish.behind))
        notes = [
            f"make the secret that {name} is before: printf %s VALUE | docker secret create {named} -"
            for name, named in secrets.items()
        ]
        if description.release_command is not None:
            notes.append(
                "the release command is not in the stack: `fungible deploy swarm` runs it before; or run it by hand: "
                f"{description.image} with the argument `release`"
            )
        return Exported(files, tuple(notes))
    from fungible.engines.systemd.export import Options as UnitOptions
    from fungible.engines.systemd.export import export as export_units

    units = UnitOptions(port=wish.port or 8080, first_port=wish.first_port, behind=bool(wish.behind))
    return export_units(description, units)


def _images(app: App, wish: Wish, last: Last | None) -> tuple[str, str]:
    """The image of the processes and the router's: those that are named, or made last. Raises Problem where neither
    is."""
    if wish.engine == "systemd":
        return app.name, ""
    if wish.image is None and last is not None:
        return last.image, wish.router or last.router
    if wish.image is None:
        raise Problem("--image: name the app's image, or make one first (`fungible image --tag REF`)")
    image = reference_of(wish.image, "--image")
    if wish.router is not None:
        reference_of(wish.router, "--router-image")
    return wish.image, wish.router or router_reference(f"{image.repository}-router")


def _code_of(app: App, out: Path | None) -> str:
    """What tells one release from another on an engine without images: the content of what a build is made of. A
    folder and the release command of a release are its own, so another code needs another name."""
    with reading(app):
        tree = read_tree(app.folder, without=(out.absolute(),) if out is not None else ())
        key, _ = input_key(tree, {"commands": app.settings.build, "release": app.release_command})
    return key

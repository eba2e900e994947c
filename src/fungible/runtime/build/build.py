"""`fungible build`: the build stage alone, with its proof."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fungible.app.environment import mask, secrets_of
from fungible.app.load import DOTENV
from fungible.app.model import WEB, App
from fungible.app.problem import Exit, Problem
from fungible.app.wording import counted, plain
from fungible.build.assets.previous import keep_previous
from fungible.build.links import delete, write_protect
from fungible.build.seal import read_tree
from fungible.build.store import Build, read_record
from fungible.runtime.build.boot_known import Boot
from fungible.runtime.build.building import Builder, Built, withheld
from fungible.runtime.build.journey import Plan
from fungible.runtime.build.proving import Prover, known, proved_text
from fungible.runtime.ending import cancelled_by_signals
from fungible.runtime.events import Bus, Event
from fungible.runtime.ground.folders import Folders, folders_for
from fungible.runtime.ground.release import Release
from fungible.runtime.ground.session import Session
from fungible.runtime.ground.stage import choose_isolation, load_config, reading
from fungible.runtime.logs.console import Console

_RECORD = ".fungible/build.json"
_SHOWN = 12


@dataclass(frozen=True)
class Options:
    """What the command line says: where to write the build, whether to boot it, and whether a machine reads; `plan`
    says what a client does at the app."""

    out: Path | None
    boot: bool
    as_json: bool
    plan: Plan


@dataclass(frozen=True)
class Proved:
    """A build and what its proof says, None where there was none."""

    built: Built
    boot: Boot | None


async def build_app(app: App, options: Options, operating_system: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """Build, prove, and write what is asked for; returns the document and what people read of it.

    Raises Problem where the app is at fault: with exit 1 for what is not in order.
    """
    proved = await build_and_prove(app, options, operating_system)
    out = options.out.absolute() if options.out is not None else None
    return _document(proved, out), _text(proved, out)


async def build_and_prove(app: App, options: Options, operating_system: Mapping[str, str]) -> Proved:
    """Build, prove, and write what is asked for; raises Problem as `build_app` does."""
    folders = folders_for(app.state_name, operating_system).make()
    bus = Bus[Event]()
    hide = [*secrets_of(dict(operating_system)), *secrets_of(load_config(folders))]
    hide.sort(key=len, reverse=True)

    def conceal(release: Release) -> None:
        secrets = {*hide, *secrets_of(release.environment({}))}
        hide[:] = sorted(secrets, key=lambda text: (-len(text), text))

    console = Console(sys.stderr, as_json=False, mask=lambda text: mask(text, hide))
    bus.subscribe(console)
    try:
        async with cancelled_by_signals():
            with Session(folders.processes) as processes:
                return await _build(app, options, operating_system, folders, processes, bus, conceal)
    finally:
        console.close()
        folders.leave()


async def _build(
    app: App,
    options: Options,
    operating_system: Mapping[str, str],
    folders: Folders,
    processes: Path,
    bus: Bus[Event],
    conceal: Callable[[Release], None],
) -> Proved:
    out = options.out.absolute() if options.out is not None else None
    if out is not None:
        _check_target(out, app.folder)
    config = load_config(folders)
    builder = Builder(
        folders,
        processes,
        operating_system,
        publish=bus.publish,
        withheld=withheld(app, config, operating_system),
        strict=app.settings.assets.prove,
    )
    without = (folders.root, folders.run.parent, *((out,) if out is not None else ()))
    with reading(app):
        tree = await asyncio.to_thread(read_tree, app.folder, without=without)
    isolation = None
    made = await builder.find(app, tree)
    if made is None:
        isolation = await choose_isolation(app.settings.isolation, folders.processes)
        made = await builder.build(app, tree, isolation)
    boot = None
    if options.boot and app.settings.assets.prove and WEB in app.types:
        boot = known(app, made.build.content, config, operating_system)
        if boot is None:
            isolation = isolation or await choose_isolation(app.settings.isolation, folders.processes)
            prover = Prover(
                folders, isolation, operating_system, publish=bus.publish, conceal=conceal, plan=options.plan
            )
            boot = await prover.prove(app, made.build.content, made.bound, config)
    if out is not None:
        await asyncio.to_thread(write_out, made.build, out, app)
    return Proved(made, boot)


def write_out(build: Build, out: Path, app: App) -> None:
    """Write the build to the folder `out`, which is one of an earlier build, empty, or not there; what is in it turns
    read-only. Assets of the builds that were there before stay. Raises Problem and OSError."""
    draft = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        shutil.copytree(build.content, draft, symlinks=True)
        (draft / DOTENV).unlink(missing_ok=True)  # variables of this machine, secrets maybe
        (draft / _RECORD).parent.mkdir(exist_ok=True)
        shutil.copy(build.content.parent / "build.json", draft / _RECORD)
        if out.exists():
            keep_previous(draft, [out], app.settings.assets.roots)
        write_protect(draft, folders=True)
        if out.exists():
            old = out.with_name(f".{out.name}.{secrets.token_hex(4)}.old")
            out.rename(old)
            draft.rename(out)
            delete(old)
        else:
            out.parent.mkdir(parents=True, exist_ok=True)
            draft.rename(out)
    except OSError as error:
        raise Problem(
            f"{plain(error.filename or out)}: the build cannot be written there ({error.strerror})", Exit.NOT_ALLOWED
        ) from None
    finally:
        if draft.exists():
            delete(draft)


def _check_target(out: Path, app: Path) -> None:
    if out == app or out in app.parents:
        raise Problem(f"--out {plain(out)}: this is the app's own folder; name another one")
    if not out.parent.is_dir():
        raise Problem(f"--out {plain(out)}: there is no folder {plain(out.parent)}; make it first")
    if not out.exists():
        return
    if not out.is_dir() or (any(out.iterdir()) and not (out / _RECORD).is_file()):
        raise Problem(f"--out {plain(out)}: this is there already, and no build of Fungible's; name another folder")
    if (out / _RECORD).is_file():
        try:
            read_record(out / _RECORD)
        except (ValueError, TypeError, OSError):
            raise Problem(f"{plain(out / _RECORD)}: this is no record of a build; name another folder") from None


def _document(proved: Proved, out: Path | None) -> dict[str, Any]:
    record, boot = proved.built.build.record, proved.boot
    return {
        "digest": record.digest,
        "reused": proved.built.reused,
        "seconds": round(proved.built.seconds, 3),
        "files": len(record.files),
        "assets": record.assets,
        "tools": dict(record.tools),
        "out": str(out) if out is not None else None,
        "boot": asdict(boot) if boot is not None else None,
        "unproved": [*record.unproved, *(boot.unproved if boot is not None else ())],
    }


def _text(proved: Proved, out: Path | None) -> str:
    record, boot = proved.built.build.record, proved.boot
    what = counted(len(record.files), "file") + (f", {record.assets} of them assets" if record.assets else "")
    how = "is there already" if proved.built.reused else f"built in {proved.built.seconds:.1f} s"
    lines = [f"{record.digest[:_SHOWN]} {how}: {what}"]
    if boot is not None:
        lines.append(proved_text(boot))
    unproved = [*record.unproved, *(boot.unproved if boot is not None else ())]
    lines += [f"not proved: {each}" for each in unproved]
    if out is not None:
        lines.append(f"written to {out}")
    return "\n".join(lines)

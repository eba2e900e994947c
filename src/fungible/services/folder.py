"""The kind `folder`: a folder outside every sandbox, attached; its config var is its path."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

from fungible.app.problem import Exit, Problem
from fungible.services import place, tree
from fungible.services.folder_dump import dump_folder
from fungible.services.store import Dump, Mount, Snapshot, Store


class FolderStore(Store):
    """The folder `source`, seen by processes at `target` (None: where it is).

    `durable` False deletes the folder at `stop`. Snapshots are copies in the folder `snapshots`
    (None: beside it), deleted at `stop`.
    """

    kind = "folder"

    def __init__(
        self,
        name: str,
        source: Path,
        *,
        target: Path | None = None,
        durable: bool = True,
        snapshots: Path | None = None,
    ) -> None:
        self.name = name
        self.source = source
        self.target = target if target is not None else source
        self.durable = durable
        self.snapshots = snapshots if snapshots is not None else source.with_name(source.name + ".snapshots")
        # Files that have not changed since the snapshot of that name was taken or last put back.
        self._known: tuple[str, dict[str, tree.Fingerprint]] = ("", {})

    @property
    def url(self) -> str:
        return str(self.target)

    @property
    def mounts(self) -> tuple[Mount, ...]:
        return (Mount(self.source, self.target),)

    async def start(self) -> None:
        place.private_folder(self.source)

    async def stop(self) -> None:
        await asyncio.to_thread(tree.remove, self.snapshots)
        if not self.durable:
            await asyncio.to_thread(tree.remove, self.source)

    async def snapshot(self) -> Snapshot:
        taken = secrets.token_hex(6)
        place.private_folder(self.snapshots)
        self._known = (taken, await asyncio.to_thread(tree.take, self.source, self.snapshots / taken))
        return Snapshot(self.name, taken)

    async def restore(self, snapshot: Snapshot) -> None:
        taken = str(snapshot.content)
        kept = self.snapshots / taken
        if snapshot.store != self.name or not kept.is_dir():
            raise Problem(f"{self.name}: this snapshot is of another store, or was deleted", Exit.NOT_ALLOWED)
        known = self._known[1] if self._known[0] == taken else {}
        self._known = (taken, await asyncio.to_thread(tree.put_back, kept, self.source, known))

    async def dump(self) -> Dump:
        return await asyncio.to_thread(dump_folder, self.source)

    async def clone(self, folder: Path, *, mounted: bool) -> FolderStore:
        """A copy in `folder`, seen where this one is seen (`mounted`) or where it really is."""
        clone = self._beside(folder, self.target if mounted else None)
        await copied(self.source, folder)
        return clone

    def _beside(self, folder: Path, target: Path | None) -> FolderStore:
        return FolderStore(self.name, folder, target=target, durable=False)


async def copied(source: Path, folder: Path) -> None:
    """Make `folder` a copy of `source`, in place of what an earlier run left there."""
    if not source.is_dir():
        raise Problem(f"{source} is not a folder", Exit.NOT_ALLOWED)
    await asyncio.to_thread(tree.remove, folder)
    await asyncio.to_thread(tree.take, source, folder)

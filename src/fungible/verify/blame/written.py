"""Which file held the state: what a slot wrote and did not take away again, the likeliest first. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from fungible.verify.blame.agent.told import FileEvent

_REMOVES = ("os.remove", "os.rmdir", "shutil.rmtree")
_FOLDERS = ("os.mkdir", "tempfile.mkdtemp", "shutil.copytree")
_EMPTY = 4
_OWN = ("TMPDIR", "HOME", "FUNGIBLE_SCRATCH", "XDG_RUNTIME_DIR")


def left_behind(events: Sequence[FileEvent]) -> tuple[FileEvent, ...]:
    """The events whose file is still there after all of them, in order.

    What was removed or renamed away is left out (a library's trial of a folder, the first half of an atomic write),
    and a folder where a file in it is known. A rename is two events: the old path, then the new one.
    """
    there: dict[str, list[FileEvent]] = {}
    renamed: FileEvent | None = None
    for event in events:
        away = event.event == "os.rename" and renamed is None
        if away or event.event in _REMOVES:
            for path in [path for path in there if path == event.path or path.startswith(f"{event.path}/")]:
                del there[path]
        else:
            there.setdefault(event.path, []).append(event)
        renamed = event if away else None
    return tuple(
        event
        for event in events
        if event in there.get(event.path, ())
        and not (event.event in _FOLDERS and any(path.startswith(f"{event.path}/") for path in there))
    )


def likelihood(event: FileEvent, root: str, wrote: Collection[str]) -> int | None:
    """How likely a file is to be what the observer missed: 0 for one in the app's folder `root` that is still there
    at the end (`wrote`, relative to it), more for one elsewhere that dies with the process and for an empty one, such
    as a lock; None for one that does not die."""
    likely = _lying(event, root, wrote)
    return likely if likely is None or event.size != 0 else likely + _EMPTY


def _lying(event: FileEvent, root: str, wrote: Collection[str]) -> int | None:
    inside = event.path[len(root) + 1 :] if event.path.startswith(root + "/") else event.path
    if not inside.startswith("/"):
        kept = inside in wrote or any(name.startswith(inside + "/") for name in wrote)
        return 0 if kept else 2
    if "/own/" in event.path or event.path.startswith(("/tmp/", "/var/tmp/")):
        return 1 if event.called_from is not None else 3
    return None


def is_asked_for(path: str, target: str) -> bool:
    """Whether a request asks for this very file: its path ends with the file's name."""
    name = path.rpartition("/")[2]
    return bool(name) and target.partition("?")[0].rpartition("/")[2] == name


def readable(path: str, environment: Mapping[str, str]) -> str:
    """A path in a folder of the slot's own, as `$TMPDIR/report.csv`: the folder is another one each time."""
    for name in _OWN:
        folder = environment.get(name)
        if folder and path.startswith(f"{folder}/"):
            return f"${name}{path[len(folder) :]}"
    return path

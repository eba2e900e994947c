"""The pages about what verify finds: one file a class of state, in the package or, in a checkout, in its docs."""

from __future__ import annotations

from pathlib import Path

from fungible.app.mend import CLASSES
from fungible.app.problem import Problem
from fungible.app.wording import nearest, shown

_PACKAGE = Path(__file__).parents[2]
_FOLDERS = (_PACKAGE / "docs" / "mend", _PACKAGE.parents[1] / "docs" / "mend")


def explanation(name: str) -> str:
    """The page about the class `name`, as Markdown. Raises Problem for a name that is none of `CLASSES`."""
    if name not in CLASSES:
        hint = nearest(name, CLASSES) or f" It is one of: {', '.join(sorted(CLASSES))}."
        raise Problem(f"--explain {shown(name)}: there is no page of that name.{hint}")
    folder = next((folder for folder in _FOLDERS if folder.is_dir()), _FOLDERS[0])
    return (folder / f"{name}.md").read_text(encoding="utf-8")

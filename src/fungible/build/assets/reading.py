"""What style sheets and scripts refer to, read once for all that asks: parsing is most of what naming costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fungible.build.assets.collect import Source
from fungible.build.assets.css import Reference, css_references, normalised
from fungible.build.assets.scripts import script_imports

SCRIPTS = (".js", ".mjs")
_LONGEST_TEXT = 32 << 20


@dataclass(frozen=True)
class Text:
    """A style sheet or a script: its `text`, with the line ends of CSS where it is one, and what it refers to: all
    that a style sheet names, the modules that a script imports. `readable` is False where it is not UTF-8."""

    text: str
    references: tuple[Reference, ...]
    readable: bool = True


def read_texts(
    sources: Iterable[Source], only: Callable[[Source], bool]
) -> tuple[dict[str, Text], tuple[Source, ...]]:
    """The style sheets and scripts among `sources` that are wanted, by name; and those too large to look into."""
    found: dict[str, Text] = {}
    large = []
    for source in sources:
        css = source.name.lower().endswith(".css")
        if not (css or source.name.lower().endswith(SCRIPTS)) or not only(source):
            continue
        data = source.path.read_bytes()
        if len(data) > _LONGEST_TEXT:
            large.append(source)
            continue
        readable = True
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text, readable = data.decode("utf-8", "replace"), False
        text = normalised(text) if css else text
        found[source.name] = Text(text, css_references(text) if css else script_imports(text), readable)
    return found, tuple(large)

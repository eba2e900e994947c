"""What the agent found, in the words of the report: object paths and places in files."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_INSTALLED = re.compile(r"^.*/(?:(?:site|dist)-packages|lib/python3\.\d+)/")
_NAME = re.compile(r"^[^\W\d]\w*$")
_UNDERLYING = {"self": "__self__", "function": "__func__", "wrapped": "__wrapped__"}


@dataclass(frozen=True)
class ObjectPath:
    """The way from a module to an object in memory; equal in two processes for the same place in the program.

    `wire` is compact JSON, a list of steps `[kind, value]`: `m` module, `a` attribute, `k` key, `i` index,
    `e` member of a set, `c` closure variable, `d` and `kd` default of a parameter, `u` underlying object of a
    wrapper, `t` thread, `v` context value, `g` local of a generator or frame, `x` cached result, `r` referent of
    an opaque object, `ps` a setting of the process, by what sets it; as first step also `fn` a function, `ap` an
    application object, `fr` a running function, `pr` the process.
    """

    wire: str

    @classmethod
    def of(cls, steps: Sequence[Sequence[Any]]) -> ObjectPath:
        """From decoded steps."""
        return cls(json.dumps(list(map(list, steps)), separators=(",", ":"), sort_keys=True))

    @property
    def steps(self) -> list[list[Any]]:
        """The decoded steps."""
        decoded: list[list[Any]] = json.loads(self.wire)
        return decoded

    @property
    def shape(self) -> ObjectPath:
        """This path without its keys and positions: equal for two boots whose tokens or ids differ."""
        return ObjectPath.of([[kind, None] if kind in ("k", "i", "e", "x", "r", "t") else [kind, value]
                              for kind, value in self.steps])  # fmt: skip

    @property
    def private(self) -> bool:
        """Whether it goes through an attribute that a library keeps for itself (`app._got_first_request`)."""
        return any(kind == "a" and str(value).startswith("_") for kind, value in self.steps[2:])

    @property
    def module(self) -> str:
        """The module that the path starts in; empty for an application object."""
        kind, value = self.steps[0]
        if kind == "m":
            return str(value)
        return str(value[0]) if kind in ("fn", "fr") else ""

    def text(self, main: str = "__main__") -> str:
        """As Python writes it where it can: `shop.views.CARTS['ann']`; `main` is the name for `__main__`."""
        said = ""
        for kind, value in _as_environment(self.steps):
            said += _word(kind, value, main)
        return said

    def __str__(self) -> str:
        return self.text()


def _as_environment(steps: list[list[Any]]) -> list[list[Any]]:
    """`os.environ._data[b'X']`, where CPython keeps it, is `os.environ['X']` to its readers."""
    if steps[:3] != [["m", "os"], ["a", "environ"], ["a", "_data"]]:
        return steps
    rest = [[kind, _decoded_bytes(value)] if kind == "k" else [kind, value] for kind, value in steps[3:]]
    return [*steps[:2], *rest]


def _decoded_bytes(value: Any) -> Any:
    if isinstance(value, dict) and "b" in value:
        return base64.b64decode(value["b"]).decode(errors="surrogateescape")
    return value


def _word(kind: str, value: Any, main: str) -> str:
    match kind:
        case "m":
            return main if value == "__main__" else str(value)
        case "fn":
            return f"{main if value[0] == '__main__' else value[0]}.{value[1]}"
        case "ap":
            return f"<{value[0]}>"
        case "fr":
            return f"<{value[0]}.{value[1]}>"
        case "a":
            return f".{value}" if _NAME.match(str(value)) else f".<{value}>"
        case "k":
            return f"[{key_text(value)}]"
        case "i":
            return f"[{value}]"
        case "e":
            return "{…}"
        case "c":
            return f".<closure {value}>"
        case "d":
            return f".__defaults__[{value}]"
        case "kd":
            return f".__kwdefaults__[{value!r}]"
        case "u":
            return f".{_UNDERLYING.get(value, value)}"
        case "g":
            return f".<local {value}>"
        case "x":
            return f".<cached {value}>"
        case "ps":
            return str(value)
        case "r":
            return f".<held {value}>"
        case _:  # a thread or a context: the same name in each
            return ""


def key_text(key: Any) -> str:
    """A key as Python writes it, from its wire form: an atom as it is, `{"b": base64}`, `{"t": [keys]}`, or
    `{"o": [position, type]}` for any other object."""
    if not isinstance(key, dict):
        return repr(key)
    if "b" in key:
        return repr(base64.b64decode(key["b"]))
    if "t" in key:
        inner = ", ".join(key_text(part) for part in key["t"])
        return f"({inner},)" if len(key["t"]) == 1 else f"({inner})"
    return f"<{key['o'][1]}>" if "o" in key else "…"


def relative_place(file: str, line: int | None, root: str) -> str:
    """`file:line`, the file relative to the app's folder `root`, or to the folder of installed packages or of the
    standard library."""
    installed = _INSTALLED.sub("", file)
    if installed != file:
        short = installed
    elif root and file.startswith(root.rstrip("/") + "/"):
        short = file[len(root.rstrip("/")) + 1 :]
    else:
        short = file
    return short if line is None else f"{short}:{line}"


def rank(path: ObjectPath, kind: str, in_app: bool) -> tuple[int, int, bool, int]:
    """The order in which to try candidates: the app's own objects before a library's, containers and attributes
    before what cannot hold an answer by itself, open before private attributes, short paths before long ones."""
    weight = {"order": 3, "import": 3, "opaque": 2, "generator": 2, "counter": 1}.get(kind, 0)
    return (0 if in_app else 1, weight, path.private, len(path.steps))


def differing_atoms(first: Mapping[ObjectPath, str], second: Mapping[ObjectPath, str]) -> tuple[ObjectPath, ...]:
    """The places whose digest differs between two boots: values made at import, one for each process.

    What a library keeps for itself comes last, short paths first. A place that only one boot has is left out.
    """
    differing = (path for path, digest in first.items() if second.get(path, digest) != digest)
    return tuple(sorted(differing, key=lambda path: (path.private, len(path.steps), path.wire)))

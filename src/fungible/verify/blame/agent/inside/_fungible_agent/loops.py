"""Which variables of a function its loops bind anew."""

from __future__ import annotations

import dis
from types import CodeType

_known: dict[CodeType, frozenset[str]] = {}


def bound_anew(code: CodeType) -> frozenset[str]:
    """The variables that are bound between where a jump back stands and where it leads."""
    known = _known.get(code)
    if known is None:
        known = _known[code] = _bound_anew(code)
    return known


def _bound_anew(code: CodeType) -> frozenset[str]:
    jumps = {*dis.hasjrel, *dis.hasjabs}
    stores, loops = [], []
    for each in dis.get_instructions(code):
        if each.opcode in jumps and each.argval < each.offset:
            loops.append((each.argval, each.offset))
        elif each.opname.startswith("STORE_FAST") or each.opname == "STORE_DEREF":
            names = each.argval if type(each.argval) is tuple else (each.argval,)
            # From Python 3.13 one instruction may store one variable, then load or store another.
            does = each.opname.split("_")[::2]
            stores += [(each.offset, name) for do, name in zip(does, names) if do == "STORE"]  # noqa: B905
    return frozenset(name for at, name in stores if any(first <= at <= last for first, last in loops))

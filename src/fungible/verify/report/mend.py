"""Which class of state a difference belongs to, and the page about its mend. Pure."""

from __future__ import annotations

import re

from fungible.verify.blame.culprit import HASH_SEED
from fungible.verify.findings import Difference

_ASSET = re.compile(
    r"\.(css|js|mjs|map|woff2?|ttf|svg|ico|png|jpe?g|webp|avif|gif)$|(^|/)(static|assets|dist)/", re.I
)
_UPLOAD = re.compile(r"upload|media|attachment|avatar", re.I)
_SECRET = re.compile(
    r"secret|signing|signer|salt|nonce|csrf|private_?key|crypt|(^|[._])key($|[._\[])|token_key", re.I
)
_CACHE = re.compile(r"cache|memo|<cached", re.I)
_LIMIT = re.compile(
    r"limit|throttl|attempt|tries|(?<![a-z])(hits|count|seen)|breaker|quota|bucket|metric|visits|sequence|next_?id|"
    r"(?<![a-z])(made|used|spent|total|tally|calls)(?![a-z])",
    re.I,
)
_JOB = re.compile(r"job|task|queue|progress|status|export|worker|thread|future|executor|running|pending|result", re.I)
_SESSION = re.compile(
    r"session|login|logged|user|auth|cart|basket|token|state|client|oauth|otp|wizard|draft|room|game", re.I
)
_SETTING = re.compile(r"setting|config|option|flag|feature|environ|pref(?!ix)", re.I)
_CLASS = re.compile(r"\.[A-Z][a-z0-9]\w*(?=\.[a-z_]\w*(\[|\.|$))")
_PROCESS = re.compile(r"\(\)$|^os\.environ\b")
_WORKER = re.compile(r"worker", re.I)


def mend_class(difference: Difference) -> str:
    """One of `CLASSES`, from what held the state (its name, its file, where it lies), the kind of the difference
    and the requests that show it; a best guess where the names say nothing."""
    deviation, culprit = difference.deviation, difference.culprit
    if _promised(difference) and (deviation.store is not None or not culprit.object):
        return "background-work"
    if deviation.store is not None or deviation.kind == "store":
        return "store"
    if culprit.object:
        return _of_object(difference, culprit.object)
    if culprit.file or culprit.where == "file":
        path = culprit.file or ""
        return "assets-at-run-time" if _ASSET.search(path) and not _UPLOAD.search(path) else "files"
    if _WORKER.search(culprit.where or "") or _waits(difference):
        return "background-work"
    if culprit.where == "start":
        return "store"
    if culprit.where == HASH_SEED:
        return "hash-seed"
    if culprit.where == "identity":
        return "settings-at-boot"
    return _of_answer(difference)


def advice(name: str) -> str:
    """The command that shows the page: who installed the package has no documentation beside it."""
    return f"fungible verify --explain {name}"


def _of_object(difference: Difference, text: str) -> str:
    culprit = difference.culprit
    if _PROCESS.search(text):
        return "process-setting"
    if _SECRET.search(text) and not _CACHE.search(text):
        return "secret-at-import"
    named = text.partition("[")[0]
    # A cached function is declared where it is written as well, but called from elsewhere.
    made = (culprit.written_at, culprit.called_from or culprit.declared_at)
    at_boot = culprit.declared_at is not None and made == (culprit.declared_at, culprit.declared_at)
    if _CACHE.search(text):
        return "cache"
    if _waits(difference) or _promised(difference):
        return "job-status" if _JOB.search(named) else "background-work"
    if _LIMIT.search(named) or _refuses(difference):
        return "counter-or-limiter"
    if _SETTING.search(named) or (at_boot and difference.deviation.kind == "stale"):
        return "settings-at-boot"
    if _CLASS.search(named):
        return "class-attribute"
    # The last names say more than the module's.
    tail = ".".join(named.split(".")[-2:]) if named.count(".") > 1 else named
    for pattern, name in ((_SESSION, "session-in-memory"), (_JOB, "job-status")):
        if pattern.search(tail):
            return name
    for pattern, name in ((_JOB, "job-status"), (_SESSION, "session-in-memory")):
        if pattern.search(text):
            return name
    return "settings-at-boot" if at_boot else _of_answer(difference)


def _of_answer(difference: Difference) -> str:
    """Where nothing has a telling name: what the answers show."""
    deviation = difference.deviation
    if _refuses(difference):
        return "counter-or-limiter"
    if deviation.kind == "stale" or (_comes_back(difference) and deviation.place != "status"):
        return "cache"
    counts = deviation.kind == "diverged" and deviation.place != "status"
    if counts and _is_number(deviation.expected) and _is_number(deviation.got):
        return "counter-or-limiter"
    if any(_ASSET.search(request.partition("?")[0]) for request in difference.requests[-1:]):
        return "assets-at-run-time"
    return "session-in-memory"


def _comes_back(difference: Difference) -> bool:
    """A process that answered before answers again, after another one changed something: it remembered."""
    slots = [slot for slot in difference.case.slots if slot >= 0]
    return len(slots) > 2 and slots[-1] in slots[:-2] and slots[-2] != slots[-1]


def _refuses(difference: Difference) -> bool:
    deviation = difference.deviation
    return deviation.place == "status" and "429" in (str(deviation.expected), str(deviation.got))


def _waits(difference: Difference) -> bool:
    return any("until quiet" in request for request in difference.requests)


def _promised(difference: Difference) -> bool:
    """Whether it is the end of a process that loses it (shrinking lets processes live where that shows it too)."""
    case = difference.case
    return case.end == "KILL" or (case.renewed and len({slot for slot in case.slots if slot >= 0}) > 1)


def _is_number(value: object) -> bool:
    return (isinstance(value, int | float) and not isinstance(value, bool)) or (
        isinstance(value, str) and value.isdigit()
    )

"""What a report must not show: secrets, values of cookies, and paths of the machine that it was made on. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from fungible.app.environment import looks_secret, mask, secrets_of
from fungible.verify.blame.culprit import Culprit
from fungible.verify.compare import Deviation
from fungible.verify.findings import Difference, Findings, Note
from fungible.verify.workload.steps import Job, Pairs, Request, Step, Workload, map_texts

Mask: TypeAlias = Callable[[str], str]

HIDDEN = "***"
_LONGEST = 5000
_MOST = 100
_PRIVATE_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-auth-token", "x-csrf-token"}
)
_QUERY = re.compile(r"(?<=[?&])([^=&#\s]{1,100})=([^&#\s]*)")
_INSTALLED = re.compile(r"(?:/[^\s\"'`:,;()<>]+)*/(?:site|dist)-packages/")
_LIBRARY = re.compile(r"(?:/[^\s\"'`:,;()<>]+)*/lib(?:64)?/python3\.[0-9]+/")
_TOKEN_KEY = re.compile(r"\[b?(['\"])(?=[^'\"]*[0-9])[A-Za-z0-9_.=+/-]{16,}\1\]")


def unmasked(text: str) -> str:
    """The mask that hides nothing."""
    return text


def mask_of(environment: Mapping[str, str], workload: Workload | None = None, folder: Path | None = None) -> Mask:
    """The mask for a run: what looks secret in `environment`, what the workload's requests carry in
    Authorization, Cookie and password fields, and machine paths: the app's folder, the slots', installed
    packages, the home folder."""
    secrets = tuple(dict.fromkeys((*secrets_of(environment), *sorted(_carried(workload), key=len, reverse=True))))
    home = environment.get("HOME", "").rstrip("/")
    own = "" if folder is None else str(folder).rstrip("/")
    slots = None if folder is None else re.compile(rf"/tmp/[0-9a-f]{{8}}/{re.escape(folder.name or 'app')}(?:/|\b)")

    def hide(text: str) -> str:
        text = mask(text, secrets)
        if "/" not in text:
            return text
        if slots is not None:
            text = slots.sub("", text)
        if own:
            text = text.replace(own + "/", "").replace(own, ".")
        text = _LIBRARY.sub("", _INSTALLED.sub("", text))
        return text.replace(home + "/", "~/") if home else text

    return hide


def _carried(workload: Workload | None) -> set[str]:
    """Secrets that requests carry: `Bearer` and `Basic` credentials, cookies, fields named like secrets."""
    if workload is None:
        return set()
    found: set[str] = set()
    for name, value in _headers(workload):
        if name.lower() not in _PRIVATE_HEADERS:
            continue
        found.add(value)
        if name.lower() == "cookie":
            found.update(part.partition("=")[2].strip() for part in value.split(";"))
            continue
        credentials = value.partition(" ")[2].strip()
        found.add(credentials)
        found.update(_basic(credentials))
    for name, value in _fields(workload):
        if value.lower() != name.lower() and looks_secret(name, value):
            found.add(value)
    return {each for each in found if len(each) >= 6 and "${" not in each}


def _headers(workload: Workload) -> Iterator[tuple[str, str]]:
    yield from workload.headers
    for step in workload.steps:
        if isinstance(step, Request):
            yield from step.headers


def _fields(workload: Workload) -> Iterator[tuple[str, str]]:
    for step in workload.steps:
        if isinstance(step, Request):
            yield from step.query
            yield from parse_qsl(step.path.partition("?")[2])
            yield from step.form or ()
            if isinstance(step.json, Mapping):
                yield from ((str(name), value) for name, value in step.json.items() if isinstance(value, str))


def _basic(credentials: str) -> set[str]:
    """The password of Basic credentials (RFC 7617)."""
    try:
        text = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, ValueError):
        return set()
    return {text, text.partition(":")[2]} if ":" in text else set()


def redact(findings: Findings, hide: Mask) -> Findings:
    """The same findings, every text through `hide`, values of cookies and credentials out; twice is as once."""
    sensitivity = findings.sensitivity
    if sensitivity is not None:
        sensitivity = replace(
            sensitivity,
            blind=tuple(replace(each, endpoint=hide(each.endpoint)) for each in sensitivity.blind),
            by_endpoint=None
            if sensitivity.by_endpoint is None
            else {hide(endpoint): counts for endpoint, counts in sensitivity.by_endpoint.items()},
        )
    return replace(
        findings,
        app=hide(findings.app),
        differences=tuple(_difference(each, hide) for each in findings.differences),
        notes=tuple(Note(each.step, hide(each.place), hide(each.text)) for each in findings.notes),
        not_judged=tuple(
            replace(each, endpoint=hide(each.endpoint), reason=hide(each.reason)) for each in findings.not_judged
        ),
        sensitivity=sensitivity,
        reasons=tuple(map(hide, findings.reasons)),
        warnings=tuple(map(hide, findings.warnings)),
        workload=None
        if findings.workload is None
        else replace(
            findings.workload, steps=tuple(_step(each, hide) for each in findings.workload.steps), headers=()
        ),
        variables={},
    )


def _difference(difference: Difference, hide: Mask) -> Difference:
    return replace(
        difference,
        deviation=_deviation(difference.deviation, hide),
        requests=tuple(request_text(each, hide) for each in difference.requests),
        culprit=_culprit(difference.culprit, hide),
    )


def _deviation(deviation: Deviation, hide: Mask) -> Deviation:
    place = deviation.place
    private = _is_private(place)
    return replace(
        deviation,
        place=hide(place),
        expected=_value(deviation.expected, hide, private),
        got=_value(deviation.got, hide, private),
    )


def _is_private(place: str) -> bool:
    """Whether a place of an answer holds a cookie or credentials, or what is inside them."""
    words = place.lower().split(" ")
    if words[0] == "cookie":
        return " value" in place or ".value" in place or "~" in place or len(words) < 3
    return words[0] == "header" and len(words) > 1 and words[1].split("~")[0] in _PRIVATE_HEADERS


def _value(value: Any, hide: Mask, private: bool, depth: int = 12) -> Any:
    """A value without secrets, and cut: generously, so that no half of a secret stands where a report ends."""
    if isinstance(value, str):
        return HIDDEN if private and value else hide(value[:_LONGEST])
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        return {
            hide(str(key)[:_LONGEST]): _value(
                each, hide, _is_private_key(str(key)) or (private and _is_text_of_cookie(str(key))), depth - 1
            )
            for key, each in islice(value.items(), _MOST)
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_value(each, hide, private, depth - 1) for each in islice(value, _MOST)]
    return HIDDEN if private and value is not None and not isinstance(value, bool) else value


def _is_private_key(key: str) -> bool:
    return key.lower() in _PRIVATE_HEADERS


def _is_text_of_cookie(key: str) -> bool:
    return key.lower() not in ("path", "domain", "expires", "max-age", "samesite", "secure", "httponly", "length")


def _culprit(culprit: Culprit, hide: Mask) -> Culprit:
    def hidden(text: str | None) -> str | None:
        return None if text is None else hide(text)

    return replace(
        culprit,
        # A store of sessions is keyed by the values of cookies.
        object=None if culprit.object is None else _TOKEN_KEY.sub("['…']", hide(culprit.object)),
        file=hidden(culprit.file),
        declared_at=hidden(culprit.declared_at),
        written_at=hidden(culprit.written_at),
        called_from=hidden(culprit.called_from),
    )


def request_text(text: str, hide: Mask) -> str:
    """A request as reports name it, without secrets in its query."""

    def parameter(match: re.Match[str]) -> str:
        secret = not match[2].startswith("${") and looks_secret(match[1], match[2])
        return f"{match[1]}={HIDDEN}" if secret else match[0]

    return _QUERY.sub(parameter, hide(text))


def _step(step: Step, hide: Mask) -> Step:
    if isinstance(step, Job):
        return Job(hide(step.command))
    if not isinstance(step, Request):
        return step
    headers: Pairs = tuple((name, value) for name, value in step.headers if name.lower() not in _PRIVATE_HEADERS)
    return map_texts(replace(step, headers=headers), lambda text: request_text(text, hide))

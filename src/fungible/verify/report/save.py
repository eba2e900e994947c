"""Minimal cases as files: a workload that shows one difference, and a test for the app's own repository. Pure."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from fungible.verify.findings import Difference
from fungible.verify.report.answers import outcome
from fungible.verify.report.mend import advice, mend_class
from fungible.verify.report.words import endpoint, holder, how_held, letters, places, title
from fungible.verify.shrink.case import part
from fungible.verify.workload.dump import dump_workload, workload_text
from fungible.verify.workload.steps import ABSENT, REFERENCE, Request, Step, Workload, map_texts

TEST_MARK = "# Written by fungible verify --save-test."
"""The first line of a saved test: a file without it is not overwritten."""

_BOUND = re.compile(r"_b[0-9]+")
_NUMBER = re.compile(r"-?[0-9]{1,300}")
_WIDE = 100


def minimal_workload(workload: Workload, kept: tuple[int, ...], variables: Mapping[str, str]) -> Workload:
    """The steps `kept` as a workload that stands alone.

    A `${name}` that none of them saves is replaced by its value in the warm run (`variables`); bindings that
    nobody uses are left out.
    """
    small = part(workload, kept)
    saved: set[str] = set()
    used = {name for step in small.steps if isinstance(step, Request) for name in step.references()}
    steps: list[Step] = []
    for step in small.steps:
        if isinstance(step, Request):
            missing = {name: variables[name] for name in step.references() - saved if name in variables}
            saved.update(step.save)
            kept_saves = {name: how for name, how in step.save.items() if name in used or not _BOUND.fullmatch(name)}
            # Without the others it may well be answered otherwise.
            step = replace(_filled(step, missing) if missing else step, save=kept_saves, status=None)
        steps.append(step)
    return replace(small, steps=tuple(steps), path=None, warnings=())


def _filled(request: Request, values: Mapping[str, str]) -> Request:
    def text(said: str) -> str:
        return REFERENCE.sub(lambda match: values.get(match[1], match[0]), said)

    def in_json(said: str) -> Any:
        whole = REFERENCE.fullmatch(said)
        if whole and whole[2] and _NUMBER.fullmatch(values.get(whole[1], "")):
            return int(values[whole[1]])
        return text(said)

    filled = map_texts(replace(request, json=ABSENT), text)
    if request.json is ABSENT:
        return filled
    return replace(filled, json=map_texts(Request("GET", "/", json=request.json), in_json).json)


def numbered(path: Path, number: int) -> Path:
    """`minimal.yaml`, then `minimal-2.yaml`, `minimal-3.yaml` …; `number` counts from 1."""
    return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def minimal_text(told: Difference, workload: Workload, name: str) -> str:
    """The file: `workload` as `minimal_workload` makes it. YAML with the story as a comment; where `name` ends in
    `.json`, which has no comments, the workload alone. `told` is the difference as it may be shown (redacted)."""
    body = workload_text(workload, name)
    if PurePath(name).suffix.lower() == ".json":
        return body
    story = [
        f"The smallest workload found that shows: {title(told)}.",
        *(f"  {line}" for line in _placed(told)),
        *_ending(told),
    ]
    return "".join(f"# {_one_line(line)}\n" for line in story) + body


def _placed(told: Difference) -> list[str]:
    """The requests, counted anew, each with its process."""
    named = [re.sub(r"^#\d+ ", "", text) for text in told.requests]
    width = min(60, max(map(len, named), default=0))
    return [
        f"{index}. {text:<{width}}  {'no process' if letter is None else f'process {letter}'}"
        for index, (text, letter) in enumerate(zip(named, letters(told), strict=False))
    ]


def _ending(told: Difference) -> list[str]:
    lines = [f"{outcome(told.deviation)}."]
    held = holder(told.culprit)
    if held:
        at = "".join(f", {label} {place}" for label, place in places(told.culprit)[:1])
        lines.append(f"{how_held(told.culprit).capitalize()} {held}{at}.")
    lines.append(f"How to mend it: {advice(mend_class(told))}")
    return lines


def _one_line(text: str) -> str:
    """On one line and printable, so that a comment or docstring cannot be broken out of."""
    return "".join(c if c.isprintable() else " " for c in text).rstrip()


def saved_test(cases: Sequence[tuple[Difference, Workload]], folder: str, web: str | None = None) -> str:
    """A pytest file with a test for each case, red until it is mended.

    A case is a difference as it may be shown (redacted) and its minimal workload. `folder` is the way from the
    file's folder to the app's, with slashes (`..`); `web` the command, where the command line gave it. The test
    needs pytest, and `fungible` on PATH.
    """
    names: set[str] = set()
    tests = [_test(difference, workload, _name(difference, names)) for difference, workload in cases]
    arguments = ["fungible", "verify", None, "--app", None, "--format", "json"]
    if web is not None:
        arguments += ["--web", web]
    command = ", ".join(
        {2: "str(workload)", 4: "str(APP)"}.get(index) or _literal(each) for index, each in enumerate(arguments)
    )
    return _FRAME.format(mark=TEST_MARK, folder=_literal(folder), command=command, tests="\n\n".join(tests))


_FRAME = '''{mark}
"""Every process of this app answers alike: found otherwise by experiment, kept as a test."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

APP = (Path(__file__).parent / {folder}).resolve()

pytestmark = pytest.mark.skipif(shutil.which("fungible") is None, reason="fungible is not on PATH")


def verify(folder, **content):
    """Run these requests in one process and spread over several; fail where the answers differ."""
    workload = folder / "workload.json"
    workload.write_text(json.dumps(content), encoding="utf-8")
    command = [{command}]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.stdout, ended.stderr
    report = json.loads(ended.stdout)
    told = [each["requests"] + [each["outcome"]] for each in report["differences"]] or report["reasons"]
    assert report["verdict"] == "no_difference", json.dumps(told, indent=1)


{tests}'''


def _name(difference: Difference, taken: set[str]) -> str:
    words = "_".join(re.findall(r"[a-z0-9]+", endpoint(difference).lower()))[:50].strip("_") or "it"
    name, number = f"test_{words}_is_the_same_in_every_process", 1
    while name in taken:
        number += 1
        name = f"test_{words}_is_the_same_in_every_process_{number}"
    taken.add(name)
    return name


def _test(told: Difference, workload: Workload, name: str) -> str:
    story = [
        f"{title(told)[0].upper()}{title(told)[1:]}.",
        "",
        *(f"  {line}" for line in _placed(told)),
        "",
        *(line for each in _ending(told) for line in textwrap.wrap(each, 90) or [""]),
    ]
    said = "\n    ".join(_one_line(line).replace("\\", "\\\\").replace('"""', "'''") for line in story)
    said = re.sub(r"\n +\n", "\n\n", said)
    data = json.loads(dump_workload(workload))
    parts = "".join(f"        {key}={_literal(value, 8, len(key) + 2)},\n" for key, value in data.items())
    return f'def {name}(tmp_path):\n    """{said}\n    """\n    verify(\n        tmp_path,\n{parts}    )\n'


def _literal(value: Any, indent: int = 0, before: int = 0) -> str:
    """JSON-ready data as Python writes it, in double quotes, broken where a line would be too wide.

    A JSON string with its escapes is a Python string as well, where it holds no surrogate pair's halves.
    """
    line = _flat(value)
    if len(line) + indent + before <= _WIDE or not isinstance(value, dict | list) or not value:
        return line
    inner = " " * (indent + 4)
    if isinstance(value, dict):
        rows = [f"{_flat(key)}: {_literal(each, indent + 4, len(key) + 5)}" for key, each in value.items()]
        return "{\n" + "".join(f"{inner}{row},\n" for row in rows) + " " * indent + "}"
    rows = [_literal(each, indent + 4, 1) for each in value]
    return "[\n" + "".join(f"{inner}{row},\n" for row in rows) + " " * indent + "]"


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flat(key)}: {_flat(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flat, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)

"""A workload as the text of its file: JSON, or YAML as people write it."""

from __future__ import annotations

import base64
import json
import re
from pathlib import PurePath
from typing import Any, Final

import yaml

from fungible.verify.workload.steps import ABSENT, File, Job, Pairs, Quiet, Step, Workload

PLAIN_VALUES: Final = tuple(
    (f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{regex})$"), first)
    for tag, regex, first in (
        ("bool", r"true|false", ("t", "f")),
        ("null", r"null|~|", ("n", "~", "")),
        ("int", r"-?(?:0|[1-9][0-9]*)", tuple("-0123456789")),
        ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)", tuple("-0123456789")),
        ("merge", r"<<", ("<",)),
    )
)
"""What a plain word of a workload's YAML is besides text: tag, expression, first characters."""
_WIDEST = 110
"""Columns of a request that stands on one line."""
_JSON = (".json", ".har")


def workload_text(workload: Workload, name: str) -> str:
    """The text of a file called `name`: JSON where that says so, else YAML; both read back as an equal value."""
    if PurePath(name).suffix.lower() in _JSON:
        return dump_workload(workload)
    return dump_yaml(workload)


def dump_yaml(workload: Workload) -> str:
    """Write a workload as YAML, a request a line where it is short."""
    data = workload_data(workload)
    steps = data.pop("requests")
    head = "".join(_entry(key, value) for key, value in data.items())
    if not steps:
        return f"{head}requests: []\n"
    return head + "requests:\n" + "".join(_item(step) for step in steps)


def _item(step: dict[str, Any]) -> str:
    text = _yaml(step, flow=True)
    if len(text) > _WIDEST:
        text = "".join(_entry(key, value) for key, value in step.items())
    first, *rest = text.splitlines()
    return "\n".join([f"  - {first}", *(f"    {each}" for each in rest)]) + "\n"


def _entry(key: str, value: Any) -> str:
    """A key with what it holds, on one line where that is short."""
    line = _yaml({key: value}, flow=True).strip()[1:-1] + "\n"
    return line if len(line) <= _WIDEST or not isinstance(value, dict | list) else _yaml({key: value}, flow=None)


def _yaml(data: dict[str, Any], *, flow: bool | None) -> str:
    """`flow` None: what holds no other list or mapping stands on one line, all else in blocks."""
    text: str = yaml.dump(
        data, Dumper=_Dumper, default_flow_style=flow, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text


class _Dumper(yaml.SafeDumper):
    """Quotes what other readers of YAML, or ours, would not take for text; a text with line breaks is one line."""

    def ignore_aliases(self, data: Any) -> bool:
        """No anchors: what stands twice is written twice."""
        return True

    def text(self, data: str) -> yaml.ScalarNode:
        """A string; whatever does not fit on a line as it is, is escaped."""
        style = None if data.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.text)
for _tag, _regex, _first in PLAIN_VALUES:
    _Dumper.add_implicit_resolver(_tag, _regex, list(_first))


def dump_workload(workload: Workload) -> str:
    """Write a workload as JSON text, a step a line; `parse_workload` of it gives an equal value."""
    data = workload_data(workload)
    lines = ",\n".join("  " + _compact(step) for step in data.pop("requests"))
    parts = [f'"requests": [\n{lines}\n]' if lines else '"requests": []']
    parts += [f'"{key}": {_compact(value)}' for key, value in data.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def workload_data(workload: Workload) -> dict[str, Any]:
    """A workload as the plain data of its file: what `parse_workload` reads."""
    data: dict[str, Any] = {"requests": [_step_data(step) for step in workload.steps]}
    if workload.masks:
        data["masks"] = list(workload.masks)
    if workload.host is not None:
        data["host"] = workload.host
    if workload.headers:
        data["headers"] = _pairs_data(workload.headers)
    return data


def _compact(value: object) -> str:
    # Line separators that YAML knows and JSON does not would break a file that is renamed to .yaml.
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _step_data(step: Step) -> dict[str, Any]:
    if isinstance(step, Job):
        return {"job": step.command}
    if isinstance(step, Quiet):
        return {"until": "quiet"}
    data: dict[str, Any] = {"method": step.method, "path": step.path}
    if step.query:
        data["query"] = _pairs_data(step.query)
    if step.headers:
        data["headers"] = _pairs_data(step.headers)
    if step.json is not ABSENT:
        data["json"] = step.json
    if step.form is not None:
        data["form"] = _pairs_data(step.form)
    if step.body is not None:
        data["body"] = _content_data(step.body)
    if step.files is not None:
        data["files"] = _files_data(step.files)
    if step.save:
        data["save"] = dict(step.save)
    if step.jar != "default":
        data["jar"] = step.jar
    if step.wait:
        data["wait"] = step.wait
    if step.timeout is not None:
        data["timeout"] = step.timeout
    if step.ignore_body:
        data["ignore_body"] = True
    if step.status is not None:
        data["status"] = step.status
    return data


def _pairs_data(pairs: Pairs) -> dict[str, str] | list[list[str]]:
    if len({name for name, _ in pairs}) == len(pairs):
        return dict(pairs)
    return [list(pair) for pair in pairs]


def _content_data(content: str | bytes) -> str | dict[str, str]:
    return content if isinstance(content, str) else {"base64": base64.b64encode(content).decode("ascii")}


def _files_data(files: tuple[File, ...]) -> dict[str, Any] | list[Any]:
    rows = [(each.field, [each.filename, _content_data(each.content), each.type]) for each in files]
    if len({field for field, _ in rows}) == len(rows):
        return dict(rows)
    return [[field, *row] for field, row in rows]

"""The workload file: JSON, YAML or HAR, read into values and written back."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any, Final

import yaml

from fungible.app.problem import Problem
from fungible.verify.workload.binding import infer_bindings
from fungible.verify.workload.har import is_har, parse_har
from fungible.verify.workload.parsing import parse_workload
from fungible.verify.workload.steps import (
    ABSENT,
    MAX_STEPS,
    File,
    Job,
    Pairs,
    Quiet,
    Rendered,
    Request,
    Step,
    Workload,
    render,
)

__all__ = [
    "ABSENT",
    "MAX_STEPS",
    "File",
    "Job",
    "Quiet",
    "Rendered",
    "Request",
    "Step",
    "Workload",
    "dump_workload",
    "load_workload",
    "parse_workload",
    "render",
    "workload_data",
]

MAX_FILE: Final = 256 * 1024 * 1024


def load_workload(path: Path) -> Workload:
    """Read a workload file: JSON, YAML, or a HAR (known by its `log.entries`).

    In a HAR, values that the app made are bound where later requests carry them; what was lost in reading is
    told in `warnings`. Raises Problem where the file cannot be read or is not a workload.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE + 1)
    except OSError as error:
        raise Problem(f"{path}: the workload cannot be read: {error.strerror or error}.") from error
    if len(raw) > MAX_FILE:
        raise Problem(f"{path}: the workload is larger than {MAX_FILE // 1024 // 1024} MiB.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(f"{path}: the workload is not UTF-8 text: {error.reason} at byte {error.start}.") from error
    data = _decode(text, path)
    if is_har(data):
        recording = parse_har(data, path)
        return infer_bindings(recording.workload, recording.transcript)
    return parse_workload(data, path)


def _decode(text: str, path: Path) -> object:
    if path.suffix.lower() in (".json", ".har") or text.lstrip().startswith("{"):
        try:
            data = json.loads(text)
            return data if is_har(data) else json.loads(text, object_pairs_hook=_no_duplicates)
        except json.JSONDecodeError as error:
            if path.suffix.lower() in (".json", ".har"):
                raise Problem(f"{path}:{error.lineno}: not JSON: {error.msg}.") from error
        except _DuplicateError as error:
            raise Problem(f'{path}: the key "{error.args[0]}" stands twice in one mapping.') from error
        except (ValueError, RecursionError) as error:
            raise Problem(f"{path}: not JSON: {error}.") from error
    try:
        # A subclass of SafeLoader: no tags, so nothing but plain data is made.
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise Problem(f"{path}{line}: not YAML: {error.problem or error.context}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Problem(f"{path}: not YAML: {str(error).splitlines()[0]}.") from error


class _DuplicateError(Exception):
    """A key stands twice in one JSON object."""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _DuplicateError(next(name for name in names if names.count(name) > 1))
    return found


class _Loader(yaml.SafeLoader):
    """YAML with the plain values of JSON: `on`, `no`, `1:30`, `007` and dates stay text, as forms need them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f'the key "{key.value}" stands twice in one mapping', key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _regex, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)", "-0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_regex})$"), list(_first))


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

"""The workload file: JSON, YAML or HAR, read into values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import yaml

from fungible.app.problem import Problem
from fungible.verify.workload.binding import infer_bindings
from fungible.verify.workload.dump import PLAIN_VALUES, dump_workload, workload_data
from fungible.verify.workload.har import is_har, parse_har
from fungible.verify.workload.parsing import parse_workload
from fungible.verify.workload.recorded import with_statuses
from fungible.verify.workload.steps import (
    ABSENT,
    MAX_STEPS,
    File,
    Job,
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
        bound = infer_bindings(recording.workload, recording.transcript)
        return with_statuses(bound, recording.transcript.answers)
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
for _tag, _regex, _first in PLAIN_VALUES:
    _Loader.add_implicit_resolver(_tag, _regex, list(_first))

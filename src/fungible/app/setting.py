"""What one declaration of a setting carries, and the reading of plain data by such declarations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin

import msgspec

from fungible.app.kinds import Kind, UnfitError, UnfitItemError
from fungible.app.problem import Problem
from fungible.app.wording import nearest, shown


@dataclass(frozen=True)
class Setting:
    """What a field cannot say of itself: one line of help, the kind of its value, and whether the command
    line takes it too (`--boot-timeout`, `FUNGIBLE_BOOT_TIMEOUT`)."""

    help: str
    kind: Kind
    option: bool = False


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of settings: each field is annotated with a `Setting`, or is a table or a mapping to tables."""


_T = TypeVar("_T", bound=Table)
_Inner = TypeVar("_Inner", bound=Table)


class Reader(Generic[_T]):
    """Reads plain data into the table `root`, with file and full key in every message.

    `path` is the file and `table` the table in it (`tool.fungible`) that messages name. `check_name` is
    called with key, name and place for each name that a user chose (`types.<name>`), and may raise Problem.
    """

    def __init__(self, root: type[_T], path: str, table: str, check_name: Callable[[str, str, str], None]) -> None:
        self._root = root
        self._path = path
        self._prefix = f"{table}." if table else ""
        self._check_name = check_name

    def read(self, data: object) -> _T:
        """Raises Problem for the first key that is unknown or missing and the first value that does not
        fit."""
        return self._read(self._root, data, "")

    def _read(self, table: type[_Inner], data: object, inside: str) -> _Inner:
        values = self._table(data, inside)
        fields = {field.name: field for field in msgspec.structs.fields(table)}
        for key in values:
            if key not in fields:
                raise Problem(self._unknown(key, inside, fields))
        read = {}
        for name, field in fields.items():
            if name in values:
                read[name] = self._field(field, values[name], inside + name)
            elif field.required:
                raise Problem(f"{self._where(inside + name)} is missing; add it.")
        return table(**read)

    def _field(self, field: msgspec.structs.FieldInfo, value: object, key: str) -> Any:
        bare, setting = _shape(field)
        inner = _inner(bare)
        if inner is None:
            if setting is None:
                return self._read(bare, value, f"{key}.")
            return read_value(setting.kind, value, self._where(key))
        entries = self._table(value, f"{key}.")
        for name in entries:
            self._check_name(key, name, self._where(key))
        if setting is None:
            return {name: self._read(inner, entry, f"{key}.{name}.") for name, entry in entries.items()}
        return {
            name: read_value(setting.kind, entry, self._where(f"{key}.{name}")) for name, entry in entries.items()
        }

    def _table(self, data: object, inside: str) -> dict[str, object]:
        if not isinstance(data, dict):
            raise Problem(f"{self._where(inside)} must be a table, not {shown(data)}.")
        return {str(key): value for key, value in data.items()}

    def _unknown(self, key: str, inside: str, fields: Mapping[str, object]) -> str:
        # The very key in another table is a better guess than a similar one in this.
        there = next((known for known, _, _ in declared(self._root) if known.split(".")[-1] == key), None)
        hint = f" Did you mean {shown(self._prefix + there)}?" if there else nearest(key, fields)
        if key == "tool" and not inside:
            hint = " In a fungible.toml leave `tool.fungible.` out: write [services], not [tool.fungible.services]."
        hint = hint or f" Known are: {', '.join(fields)}."
        return f"{self._where(inside + key)} is not a setting.{hint}"

    def _where(self, key: str) -> str:
        """File and key as written in it; a key that is not made of bare keys is quoted."""
        whole = (self._prefix + key).rstrip(".")
        if not whole:
            return f"{self._path}: the settings"
        is_bare = len(whole) <= 200 and all(c.isascii() and (c.isalnum() or c in "_-.") for c in whole)
        return f"{self._path}: {whole if is_bare else shown(whole)}"


def read_value(kind: Kind, value: object, where: str) -> Any:
    """`value` read as `kind`; raises Problem, starting with `where`, if it does not fit."""
    try:
        return kind.read(value)
    except UnfitItemError as unfit:
        place = f"{where}[{unfit.index}]"
        raise Problem(f"{place} must be {unfit.kind.words}, not {shown(unfit.item)}.") from None
    except ValueError as error:
        more = f" {error}" if isinstance(error, UnfitError) and str(error) else ""
        raise Problem(f"{where} must be {kind.words}, not {shown(value)}.{more}") from None


def declared(table: type[Table], inside: str = "") -> Iterator[tuple[str, Setting, str]]:
    """Every setting below `table`: its full key, its declaration, its default as a file would have it."""
    for field in msgspec.structs.fields(table):
        bare, setting = _shape(field)
        inner = _inner(bare)
        if setting is not None and inner is not None:
            yield f"{inside}{field.name}.<NAME>", setting, ""
        elif setting is not None:
            is_open = field.required or field.default in (None, ())
            yield inside + field.name, setting, "" if is_open else setting.kind.text(field.default)
        else:
            yield from declared(
                inner or bare, f"{inside}{field.name}." if inner is None else f"{inside}{field.name}.<name>."
            )


def _shape(field: msgspec.structs.FieldInfo) -> tuple[Any, Setting | None]:
    """The bare type of a field and the `Setting` beside it, or None for a table."""
    if get_origin(field.type) is Annotated:
        bare, *beside = get_args(field.type)
        return bare, next(entry for entry in beside if isinstance(entry, Setting))
    return field.type, None


def _inner(bare: Any) -> Any:
    """The type of the values where `bare` is a mapping, else None."""
    return get_args(bare)[1] if get_origin(bare) is Mapping else None

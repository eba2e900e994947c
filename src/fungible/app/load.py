"""Reads an app's folder. The only file of this floor that touches the disk."""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fungible.app.dotenv import parse_dotenv
from fungible.app.lines import MAX_TEXT
from fungible.app.model import WEB, App, app_name, declare_type
from fungible.app.problem import Problem
from fungible.app.procfile import RELEASE, ProcfileLine, check_command, parse_procfile
from fungible.app.settings import Settings, TypeSettings, apply_options, parse_settings
from fungible.app.wording import nearest, plain, shown

PROCFILE = "Procfile"
PYPROJECT = "pyproject.toml"
FUNGIBLE_TOML = "fungible.toml"
DOTENV = ".env"

_PROJECT_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def load_app(
    folder: Path,
    *,
    web: str | None = None,
    options: Mapping[str, str | None] | None = None,
    need_types: bool = True,
) -> App:
    """The app in `folder`: its Procfile, its settings, its `.env`.

    `web` is the command of the type `web`, in place of the Procfile's. `options` are settings that the
    command line gives (see `settings.apply_options`). Without `need_types` a folder without Procfile is an
    app with no process type, enough for a one-off process. Raises Problem for whatever cannot be read or does
    not fit.
    """
    resolved = _resolve(folder)
    texts = _read_texts(folder)
    lines = {line.name: line for line in _procfile(folder, texts.get(PROCFILE), web, need_types)}
    release_line = lines.pop(RELEASE, None)
    settings, settings_file, project_name = _settings(folder, texts)
    declared = PROCFILE in texts or FUNGIBLE_TOML in texts or settings != Settings()
    settings = apply_options(settings, options or {})
    if web is not None:
        check_command(web, "--web")
        lines[WEB] = ProcfileLine(name=WEB, command=web.strip(), line=0)
    if not lines and need_types:
        raise Problem(
            f"{_at(folder, PROCFILE)}: only `release` is declared; add a process type such as"
            " `web: gunicorn -b 127.0.0.1:$PORT shop:app`."
        )
    _check_types(settings, lines, _at(folder, settings_file))
    if release_line is not None and settings.release is not None:
        raise Problem(
            f"{_at(folder, PROCFILE)}:{release_line.line}: the release command is also set by `release` in"
            f" {settings_file}; keep one of them."
        )
    return App(
        folder=resolved,
        name=app_name(project_name, resolved.name),
        types={
            name: declare_type(line, settings.types.get(name, TypeSettings()), settings)
            for name, line in lines.items()
        },
        settings=settings,
        dotenv=parse_dotenv(texts.get(DOTENV, ""), _at(folder, DOTENV)),
        release_command=release_line.command if release_line is not None else settings.release,
        sources=tuple(texts),
        declared=declared,
    )


def _check_types(settings: Settings, types: Mapping[str, ProcfileLine], file: str) -> None:
    for name, own in settings.types.items():
        where = f"{file}: types.{plain(name)[:80]}"
        if name not in types:
            raise Problem(
                f"{where}: the {PROCFILE} has no process type {shown(name)}; add its line there or take the"
                f" settings out.{nearest(name, types)}"
            )
        if own.singleton and own.processes > 1:
            raise Problem(f"{where}: a singleton runs at most once, but processes is {own.processes}.")
        if own.ready is not None and own.listen is None and name != WEB:
            raise Problem(f'{where}: `ready` is asked over HTTP; add listen = "port" (or "unix").')


def _resolve(folder: Path) -> Path:
    try:
        resolved = folder.resolve(strict=True)
        mode = resolved.stat().st_mode
    except FileNotFoundError:
        raise Problem(f"{plain(folder)}: there is no such folder.") from None
    except (OSError, RuntimeError, ValueError) as error:  # loops of links, names with NUL
        raise Problem(f"{plain(folder)}: the folder cannot be opened: {_reason(error)}.") from None
    if not stat.S_ISDIR(mode):
        raise Problem(f"{plain(folder)}: this is a file; give the folder that holds the app.")
    return resolved


def _read_texts(folder: Path) -> dict[str, str]:
    """The texts of those files of an app that exist, by name."""
    texts = {}
    for name in (PROCFILE, PYPROJECT, FUNGIBLE_TOML, DOTENV):
        # Some keep a virtual environment in a folder of the name `.env`: that is no file of variables.
        if name == DOTENV and "pyvenv.cfg" in _names(folder / name):
            continue
        if (text := _read_text(folder, name)) is not None:
            texts[name] = text
    return texts


def _procfile(folder: Path, text: str | None, web: str | None, need_types: bool) -> tuple[ProcfileLine, ...]:
    if text is not None:
        return parse_procfile(text, _at(folder, PROCFILE))
    if web is not None or not need_types:
        return ()
    raise nothing_declared(folder)


def nothing_declared(folder: Path) -> Problem:
    """That a folder is no app, as it has no Procfile, and how it becomes one."""
    alike = next((name for name in _names(folder) if name.casefold() in ("procfile", "procfile.txt")), None)
    if alike is not None:
        return Problem(f"{_at(folder, alike)}: the file must be named {PROCFILE}; rename it.")
    return Problem(
        f"{_at(folder, PROCFILE)}: there is no such file; write it with a line such as"
        " `web: gunicorn -b 127.0.0.1:$PORT shop:app`, or give the command:"
        " `--web 'gunicorn -b 127.0.0.1:$PORT shop:app'`."
    )


def _settings(folder: Path, texts: Mapping[str, str]) -> tuple[Settings, str, str]:
    """The settings, the file they are in, and the project's name if pyproject.toml has one."""
    project = _toml(folder, PYPROJECT, texts) or {}
    own = _toml(folder, FUNGIBLE_TOML, texts)
    tool = _section(project, "tool", folder)
    if own is not None and "fungible" in tool:
        raise Problem(
            f"{_at(folder, FUNGIBLE_TOML)}: settings are also in [tool.fungible] of {PYPROJECT}; keep one of them."
        )
    name = _section(project, "project", folder).get("name")
    if not isinstance(name, str) or not _PROJECT_NAME.fullmatch(name):
        name = ""
    if own is not None:
        return parse_settings(own, _at(folder, FUNGIBLE_TOML)), FUNGIBLE_TOML, name
    table = tool.get("fungible", {})
    return parse_settings(table, _at(folder, PYPROJECT), "tool.fungible"), PYPROJECT, name


def _section(data: Mapping[str, Any], key: str, folder: Path) -> Mapping[str, Any]:
    section = data.get(key, {})
    if not isinstance(section, dict):
        raise Problem(f"{_at(folder, PYPROJECT)}: {key} must be a table, not {shown(section)}.")
    return section


def _toml(folder: Path, name: str, texts: Mapping[str, str]) -> dict[str, Any] | None:
    text = texts.get(name)
    if text is None:
        return None
    where = _at(folder, name)
    if text.startswith("\ufeff"):
        raise Problem(f"{where}:1: the file starts with a byte order mark; save it as UTF-8 without one.")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise Problem(f"{where}: lists or tables are nested too deeply.") from None
    except tomllib.TOMLDecodeError as error:
        reason = str(error)
        line = text.count("\n") + 1  # "at end of document"
        if place := re.search(r" \(at line (\d+), column \d+\)$", reason):
            reason, line = reason.removesuffix(place[0]), int(place[1])
        raise Problem(f"{where}:{line}: this is not TOML: {plain(reason)[:200].rstrip('.')}.") from None
    except ValueError:  # Python's limit of digits
        raise Problem(f"{where}: a number has too many digits.") from None


def _read_text(folder: Path, name: str) -> str | None:
    """The text of a file of the app, None if there is none. Pipes and devices are refused unread: to read one
    may take for ever."""
    path = folder / name
    where = _at(folder, name)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise Problem(f"{where}: this is a folder; it should be a file.")
        if not stat.S_ISREG(mode):
            raise Problem(f"{where}: this is not a regular file.")
        with path.open("rb") as file:
            content = file.read(4 * MAX_TEXT + 1)
    except FileNotFoundError:
        if path.is_symlink():
            raise Problem(f"{where}: this is a link to a file that does not exist.") from None
        return None
    except OSError as error:
        raise Problem(f"{where}: the file cannot be read: {_reason(error)}.") from None
    if len(content) > 4 * MAX_TEXT:
        raise Problem(f"{where}: the file is larger than {4 * MAX_TEXT} bytes.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Problem(f"{where}:{line}: the file is not UTF-8; save it as UTF-8.") from None


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []


def _reason(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return plain(reason)[:200].rstrip(".")


def _at(folder: Path, name: str) -> str:
    """How messages name a file of the app: as the user would from where they are."""
    return plain(folder / name)

"""Packagers that compile while requests are served: each is named with its file and line, and how to mend it.

What each of them does by default, and what turns it off, is written in its own documentation: webassets `auto_build`,
django-compressor `COMPRESS_OFFLINE`, django-pipeline `PIPELINE_ENABLED`, django-sass-processor
`SASS_PROCESSOR_ENABLED`, Rails `config.assets.compile`, Jammit `package_assets`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fungible.app.wording import plain
from fungible.build.proof.source import Facts, Place, read_facts

_LARGEST = 2 << 20
_SKIPPED = re.compile(
    r"(^|/)(tests?|testing|migrations|management/commands)/|(^|/)(test_[^/]*|conftest|setup|noxfile|fabfile|tasks)\.py$"
)
_TRIGGERS = re.compile(
    rb"assets|ASSETS_|auto_build|compress|pipeline|sass|scss|precompiler|lesscpy|coffeescript|INSTALLED_APPS|subprocess|os\.system|"
    rb"COMPRESS_|PIPELINE|SASS_|DEBUG"
)
_OFF = (False, 0)


@dataclass(frozen=True)
class Active:
    """A packager that is at work in the run stage: where, which, and one sentence for the user."""

    packager: str
    path: str
    line: int
    sentence: str


def run_time_packagers(folder: Path, files: Iterable[str], commands: Collection[str]) -> tuple[Active, ...]:
    """What the `files` of an app in `folder` show, by place; files that its build `commands` name may compile."""
    facts = Facts()
    found = []
    for path in files:
        if path.endswith(".py") and not _SKIPPED.search(path):
            text = _read(folder / path)
            if text is not None and ("templatetags" in path or _TRIGGERS.search(text)):
                read_facts(path, text, facts, exempt=_is_named(path, commands))
        elif path in ("config/environments/production.rb", "config/application.rb"):
            found += _by_line(
                folder / path,
                path,
                r"^\s*config\.assets\.compile\s*=\s*true",
                "Rails",
                "compiles assets that are missing while requests are served (config.assets.compile): set it to "
                "false, and let `bin/rails assets:precompile` be a build command",
            )
        elif path == "config/assets.yml":
            found += _by_line(
                folder / path,
                path,
                r"^package_assets\s*:\s*always\b",
                "Jammit",
                "packages while requests are served (package_assets: always): set it to `off`, and let `jammit` be a "
                "build command",
            )
    found += [*_of_settings(facts), *_of_calls(facts)]
    return tuple(sorted(found, key=lambda each: (each.path, each.line)))


def _of_settings(facts: Facts) -> Iterator[Active]:
    for place in facts.environments:
        on = [each for each in facts.settings if each.name in ("ASSETS_AUTO_BUILD", "auto_build")]
        if not any(each.value in _OFF for each in on) and not any(each.unknown for each in on):
            where = next((each.place for each in on if each.value is True), place)
            yield _active(
                where,
                "Flask-Assets" if place.word == "flask_assets" else "webassets",
                "compiles while requests are served (auto_build is on): set "
                + ("ASSETS_AUTO_BUILD = False" if place.word == "flask_assets" else "auto_build=False")
                + ", and let a build command make the bundles (`flask assets build`, `webassets build`)",
            )
    for name, packager, setting, wanted, mend in _APPS:
        place_of_app = facts.installed.get(name)
        if place_of_app is None:
            continue
        said = [each for each in facts.settings if each.name == setting]
        if any(each.unknown or bool(each.value) is wanted for each in said):
            continue
        if name == "compressor" and any(s.name == "COMPRESS_ENABLED" and s.value in _OFF for s in facts.settings):
            continue
        if name in ("pipeline", "sass_processor") and not said and not _debugs(facts):
            continue  # follows DEBUG, which is off
        yield _active(said[-1].place if said else place_of_app, packager, mend)


_APPS = (
    (
        "compressor",
        "django-compressor",
        "COMPRESS_OFFLINE",
        True,
        "compresses while requests are served (COMPRESS_OFFLINE is off): set COMPRESS_OFFLINE = True, and let "
        "`python manage.py compress` be a build command",
    ),
    (
        "pipeline",
        "django-pipeline",
        "PIPELINE_ENABLED",
        True,
        "compiles while requests are served (PIPELINE_ENABLED is off): set it to True in PIPELINE, and let "
        "`python manage.py collectstatic --noinput` be a build command",
    ),
    (
        "sass_processor",
        "django-sass-processor",
        "SASS_PROCESSOR_ENABLED",
        False,
        "compiles while requests are served: set SASS_PROCESSOR_ENABLED = False, and let `python manage.py "
        "compilescss` be a build command",
    ),
    (
        "static_precompiler",
        "django-static-precompiler",
        "STATIC_PRECOMPILER_DISABLE_AUTO_COMPILE",
        True,
        "compiles while requests are served: set STATIC_PRECOMPILER_DISABLE_AUTO_COMPILE = True, and let `python "
        "manage.py compilestatic` be a build command",
    ),
    (
        "assetpackager",
        "django-assetpackager",
        "",
        True,
        "packages in its template tag while requests are served: use a packager that a build command runs (esbuild, "
        "Vite, `collectstatic`)",
    ),
)
"""Django apps: name in INSTALLED_APPS, packager, the setting that decides, its value for the run stage, the mend."""


def _of_calls(facts: Facts) -> Iterator[Active]:
    for place in facts.compiles:
        yield _active(
            place,
            place.word,
            "compiles where a process does it: move this into a script that `build` names in the settings, and serve "
            "what it writes",
        )
    for place in facts.programs:
        yield _active(
            place,
            place.word,
            "is run by a process: let `build` in the settings run it, and serve what it writes",
        )
    for place in facts.tag_writes:
        yield _active(
            place,
            "a template tag",
            f"writes files while a page is rendered ({place.word}): let a build command write them",
        )


def _debugs(facts: Facts) -> bool:
    debug = [each for each in facts.settings if each.name == "DEBUG" and each.upper_level]
    return bool(debug) and all(each.value is True for each in debug)


def _active(place: Place, packager: str, mend: str) -> Active:
    return Active(packager, place.path, place.line, f"{plain(place.path)}:{place.line}: {packager} {mend}.")


def _by_line(path: Path, name: str, pattern: str, packager: str, mend: str) -> list[Active]:
    text = (_read(path) or b"").decode("utf-8", "replace")
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        return []
    line = text.count("\n", 0, match.start()) + 1 + match[0].count("\n")
    return [_active(Place(name, line, ""), packager, mend)]


def _is_named(path: str, commands: Collection[str]) -> bool:
    module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__").removesuffix(".__main__")
    words = {module, module.removeprefix("src."), path}
    return any(re.search(rf"(^|[\s/;&\"'=]){re.escape(word)}($|[\s;&\"'.:(])", c) for c in commands for word in words)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.stat().st_size <= _LARGEST else None
    except OSError:
        return None

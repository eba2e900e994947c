"""URLs and tags of assets for templates, whatever renders them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any
from urllib.parse import quote

from fungible_kit.assets.manifest import Asset, Assets, assets

_SCRIPTS = ("text/javascript", "application/javascript")


class Markup(str):
    """HTML that is not to be escaped: template engines ask for `__html__` (MarkupSafe, Django)."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


def asset(name: str) -> str:
    """The URL of the asset called `name`: its path below its root, or a bundler's source (`src/main.js`).

    Raises UnknownAsset for a name that the build does not know, and AssetsMissing where there is no build.
    """
    return assets().address(name)


def integrity(name: str) -> str:
    """What a page says in `integrity` for the asset called `name` (Subresource Integrity). Raises as `asset` does."""
    return assets().find(name).integrity


def asset_tags(*names: str, nonce: str | None = None) -> Markup:
    """The tags that load the assets called `names`, with `integrity`: style sheets, and scripts as modules.

    A bundler's entry brings its style sheets, and its chunks as `modulepreload`. `nonce` is that of the page's
    Content-Security-Policy. Raises UnknownAsset, AssetsMissing, and ValueError for what is neither script nor sheet.
    """
    known = assets()
    sheets: dict[str, Asset] = {}
    chunks: dict[str, Asset] = {}
    scripts: dict[str, Asset] = {}
    for name in names:
        file = known.find(name)
        css, imports = known.companions(name)
        sheets |= {each.path: each for each in css}
        chunks |= {each.path: each for each in imports}
        if file.type == "text/css":
            sheets[file.path] = file
        elif file.type in _SCRIPTS:
            scripts[file.path] = file
        else:
            raise ValueError(f"{name} is neither a script nor a style sheet ({file.type}): use asset()")
    return Markup("\n".join(_tags(known, sheets.values(), chunks.values(), scripts.values(), nonce)))


def _tags(
    known: Assets, sheets: Iterable[Asset], chunks: Iterable[Asset], scripts: Iterable[Asset], nonce: str | None
) -> Iterable[str]:
    for sheet in sheets:
        yield f'<link rel="stylesheet"{_attributes(known, sheet, "href", nonce)}>'
    for chunk in chunks:
        yield f'<link rel="modulepreload"{_attributes(known, chunk, "href", nonce)}>'
    for script in scripts:
        yield f'<script type="module"{_attributes(known, script, "src", nonce)}></script>'


def _attributes(known: Assets, file: Asset, name: str, nonce: str | None) -> str:
    url = known.url + quote(file.path)
    said = {name: url, "integrity": file.integrity}
    if "//" in known.url:  # from elsewhere, a digest can only be checked of what is asked for with CORS
        said["crossorigin"] = "anonymous"
    if nonce is not None:
        said["nonce"] = nonce
    return "".join(f' {key}="{escape(value)}"' for key, value in said.items())


def install(environment: Any) -> None:
    """Make `asset` and `asset_tags` known in a Jinja environment: `install(app.jinja_env)` in Flask,
    `install(templates.env)` in Starlette and FastAPI."""
    environment.globals.update(asset=asset, asset_tags=asset_tags, asset_integrity=integrity)

"""Names of compiled assets, and serving them.

    from fungible_kit.assets import asset, asset_tags

    asset("css/site.css")          # "/assets/css/site.9f3c….css"
    asset_tags("src/main.js")      # <link …><script …> for a bundler's entry, with `integrity`

In templates: `install(app.jinja_env)` for Jinja, `{% load fungible %}` for Django. To serve them: `wsgi(app)`,
`asgi(app)`. All of it reads the manifest that `fungible build` wrote; nothing is compiled here, nothing is written.
"""

from fungible_kit.assets.manifest import Asset, Assets, AssetsMissing, UnknownAsset, assets
from fungible_kit.assets.serve import asgi, wsgi
from fungible_kit.assets.tags import asset, asset_tags, install, integrity

__all__ = [
    "Asset",
    "Assets",
    "AssetsMissing",
    "UnknownAsset",
    "asgi",
    "asset",
    "asset_tags",
    "assets",
    "install",
    "integrity",
    "wsgi",
]

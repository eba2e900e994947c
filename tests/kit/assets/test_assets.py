"""The kit's assets: names, tags, and serving them in front of WSGI and ASGI apps. A1 to A4 are the requirements."""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import brotli
import httpx
import jinja2
import pytest
import zstandard

from fungible.build.assets.compile import compile_assets
from fungible.build.assets.previous import keep_previous
from fungible_kit import asset, asset_tags
from fungible_kit.assets import Assets, AssetsMissing, UnknownAsset, asgi, assets, install, integrity, wsgi

CSS = "body { background: url(../img/logo.svg) }\n" * 30


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A build with assets, as the working folder."""
    folder = write(
        tmp_path / "build",
        {
            "static/css/site.css": CSS,
            "static/img/logo.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
            "static/app.js": "console.log('app')\n",
            "static/page.html": "<p>a page",
            "secret.py": "KEY = 'x'",
        },
    )
    compile_assets(folder, ["static"], "/assets/", "fungible.toml")
    monkeypatch.chdir(folder)
    assets.cache_clear()
    yield folder
    assets.cache_clear()


def application(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b"the app's page for everything"]


async def application_asgi(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": b"the app's page for everything"})


class Client:
    """Asks an app in this process, WSGI or ASGI."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.app: Any = wsgi(application) if kind == "wsgi" else asgi(application_asgi)

    def get(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        headers = {"Accept-Encoding": "identity", **headers}
        if self.kind == "wsgi":
            transport = httpx.WSGITransport(self.app)
            with httpx.Client(transport=transport, base_url="http://test") as client:
                return client.request(method, path, headers=headers)
        import asyncio

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(ask())


@pytest.fixture(params=["wsgi", "asgi"])
def client(request: pytest.FixtureRequest, build: Path) -> Client:
    return Client(request.param)


def test_a_name_becomes_an_address_that_changes_with_the_content(build: Path) -> None:
    first = asset("css/site.css")
    assert first.startswith("/assets/css/site.") and first.endswith(".css")
    shutil.rmtree(build / ".fungible")
    (build / "static/img/logo.svg").write_text("<svg/>")
    compile_assets(build, ["static"], "/assets/", "fungible.toml")
    assets.cache_clear()
    assert asset("css/site.css") != first, "a picture changed, and its name is in the style sheet"


def test_an_unknown_name_says_which_one_is_near(build: Path) -> None:
    with pytest.raises(UnknownAsset, match=r'no asset is called "css/sit.css"\. Did you mean "css/site\.css"\?'):
        asset("css/sit.css")


def test_without_a_build_it_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assets.cache_clear()
    with pytest.raises(AssetsMissing, match="fungible build"):
        asset("x.css")
    write(tmp_path, {".fungible/assets/manifest.json": '{"names": 1}'})
    with pytest.raises(AssetsMissing, match="no manifest of assets"):
        asset("x.css")
    assets.cache_clear()


def test_a2_tags_carry_the_digest_of_what_is_served(client: Client) -> None:
    tags = asset_tags("css/site.css", "app.js", nonce='"x')
    sheet = client.get(asset("css/site.css"))
    digest = "sha384-" + base64.b64encode(hashlib.sha384(sheet.content).digest()).decode()
    assert tags == (
        f'<link rel="stylesheet" href="{asset("css/site.css")}" integrity="{digest}" nonce="&quot;x">\n'
        f'<script type="module" src="{asset("app.js")}" integrity="{integrity("app.js")}" nonce="&quot;x"></script>'
    )
    with pytest.raises(ValueError, match="use asset"):
        asset_tags("img/logo.svg")


def test_a3_every_answer_has_its_type_and_is_not_to_be_sniffed(client: Client) -> None:
    types = {"css/site.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8"}
    for name, wanted in {**types, "img/logo.svg": "image/svg+xml"}.items():
        answer = client.get(asset(name))
        assert (answer.status_code, answer.headers["content-type"]) == (200, wanted)
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_only_hashed_names_are_immutable(client: Client) -> None:
    assert "immutable" in client.get(asset("app.js")).headers["cache-control"]
    page = client.get(asset("page.html"))
    assert asset("page.html") == "/assets/page.html"
    assert page.headers["cache-control"] == "no-cache"
    again = client.get("/assets/page.html", **{"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304


def test_a4_what_is_no_asset_is_a_real_404_that_nobody_keeps(client: Client) -> None:
    for path in ("/assets/gone.0123456789abcdef.js", "/assets/", "/assets/app.js"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert b"page for everything" not in answer.content
    assert client.get("/assets/gone.js", "HEAD").content == b""
    assert client.get("/elsewhere").text == "the app's page for everything"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../../../secret.py",
        "/assets/%2e%2e/manifest.json",
        "/assets/..%2f..%2fsecret.py",
        "/assets//etc/passwd",
    ],
)
def test_a1_only_files_of_the_manifest_are_served(client: Client, build: Path, path: str) -> None:
    (build / ".fungible/assets/files/added.txt").write_text("not in the manifest")
    assert client.get("/assets/added.txt").status_code == 404
    (build / ".fungible/assets/files/link.txt").symlink_to(build / "secret.py")
    assert client.get("/assets/link.txt").status_code == 404
    answer = client.get(path)
    assert answer.status_code == 404 or answer.text == "the app's page for everything"


def test_the_smallest_copy_that_the_client_reads_is_sent(client: Client) -> None:
    path = asset("css/site.css")
    whole = client.get(path).content
    assert client.get(path, **{"Accept-Encoding": "gzip"}).content == whole
    for coding in ("br", "zstd"):
        transported = client.get(path, **{"Accept-Encoding": coding})
        assert transported.headers["content-encoding"] == coding
        assert transported.headers["vary"] == "Accept-Encoding"
        assert int(transported.headers["content-length"]) < len(whole)
    files = Assets(Path(".fungible/assets")).folder / "files"
    stem = path.removeprefix("/assets/")
    assert brotli.decompress((files / f"{stem}.br").read_bytes()) == whole
    assert zstandard.ZstdDecompressor().decompress((files / f"{stem}.zstd").read_bytes()) == whole
    assert client.get(path, Range="bytes=0-9").content == whole[:10]
    assert client.get(path, "POST").status_code == 405


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_files_of_builds_before_are_served_to_pages_of_before(build: Path, tmp_path: Path, kind: str) -> None:
    old = Client(kind).get(asset("css/site.css"))
    new = write(tmp_path / "new", {"static/css/site.css": "p { color: red }", "static/page.html": "<p>another"})
    compile_assets(new, ["static"], "/assets/", "fungible.toml")
    assert keep_previous(new, [build], ["static"]) == 3
    known = Assets(new / ".fungible/assets")
    client = Client(kind)
    client.app = wsgi(application, known) if kind == "wsgi" else asgi(application_asgi, known)
    path = asset("css/site.css")
    answer = client.get(path)
    assert (answer.status_code, answer.content) == (200, old.content)
    assert "immutable" in answer.headers["cache-control"]
    assert client.get("/assets/page.html").text == "<p>another"


def test_templates_know_them(build: Path) -> None:
    environment = jinja2.Environment(autoescape=True)
    install(environment)
    text = environment.from_string("{{ asset('app.js') }} {{ asset_tags('app.js') }}").render()
    assert text == f"{asset('app.js')} {asset_tags('app.js')}"
    from django.conf import settings
    from django.template import Context, Engine

    if not settings.configured:
        settings.configure()
    engine = Engine(libraries={"fungible": "fungible_kit.assets.django.templatetags.fungible"})
    template = engine.from_string('{% load fungible %}{% asset "app.js" %} {% asset_tags "app.js" nonce="n" %}')
    assert template.render(Context()) == f"{asset('app.js')} {asset_tags('app.js', nonce='n')}"

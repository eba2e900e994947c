"""Names of assets, references in style sheets, compressed copies, what is kept of builds before."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.build.assets.bundled import read_bundled
from fungible.build.assets.compile import compile_assets
from fungible.build.assets.compress import compressed
from fungible.build.assets.css import css_references, normalised, rewrite
from fungible.build.assets.manifest import FILES, read_manifest
from fungible.build.assets.naming import resolve, with_digest
from fungible.build.assets.previous import keep_previous
from fungible.build.environment import build_environment, withheld_name


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


FILE = st.from_regex(r"[a-z][a-z0-9 _.()'-]{0,8}\.(png|css|woff2)", fullmatch=True)


@given(st.lists(st.tuples(FILE, st.sampled_from(["url", "double", "single", "import", "image-set"])), max_size=8))
def test_every_reference_is_found_where_it_stands(parts: list[tuple[str, str]]) -> None:
    def escaped(name: str) -> str:
        return re.sub(r"([()' \"])", r"\\\1", name)

    forms = {
        "url": "a {{ b: url( {} ) }}\n",
        "double": '/* url(x) */ a {{ b: url("{}") no-repeat }}\n',
        "single": "@media print {{ a {{ b: url('{}') }} }}\n",
        "import": '@import "{}" screen;\n',
        "image-set": 'a {{ b: image-set("{}" 1x) }}\n',
    }
    text = "".join(forms[form].format(escaped(name)) for name, form in parts)
    found = css_references(text)
    assert [reference.url for reference in found] == [name for name, _ in parts]
    assert rewrite(text, found, lambda _: None) == text
    renamed = rewrite(text, found, lambda reference: f"n{reference.start}.png")
    assert [reference.url for reference in css_references(renamed)] == [f"n{each.start}.png" for each in found]


@given(st.text(alphabet=st.sampled_from("url(\"')@import;{}/*\\ \n\ra.#é\u2028"), max_size=60))
def test_whatever_is_no_style_sheet_is_left_as_it_is(text: str) -> None:
    text = normalised(text)
    references = css_references(text)
    assert rewrite(text, references, lambda each: text[each.start : each.end]) == text


@pytest.mark.parametrize(
    ("url", "referrer", "base", "name"),
    [
        ("../img/a.png?x#y", "css/a.css", "/assets/", "img/a.png"),
        ("/assets/a%20b.png", "css/a.css", "/assets/", "a b.png"),
        ("https://cdn.example/s/a.png", "a.css", "https://cdn.example/s/", "a.png"),
        ("https://other.example/s/a.png", "a.css", "https://cdn.example/s/", None),
        ("//cdn.example/a.png", "a.css", "/assets/", None),
        ("/elsewhere/a.png", "a.css", "/assets/", None),
        ("#part", "a.css", "/assets/", None),
        ("data:image/png;base64,x", "a.css", "/assets/", None),
        ("../../x.png", "css/a.css", "/assets/", "../x.png"),
    ],
)
def test_a_url_means_an_asset_or_none_of_ours(url: str, referrer: str, base: str, name: str | None) -> None:
    assert resolve(url, referrer, base) == name


def test_a_name_keeps_its_ends() -> None:
    assert with_digest("a/site.min.css", "9f") == "a/site.min.9f.css"
    assert with_digest("app.js.map", "9f") == "app.9f.js.map"
    assert with_digest("LICENSE", "9f") == "LICENSE.9f"


def test_a_changed_picture_changes_what_refers_to_it_and_nothing_else(tmp_path: Path) -> None:
    files = {
        "static/a.css": '@import "deep/b.css";',
        "static/deep/b.css": "x { y: url(../p.svg#part) url('/assets/p.svg?v=1') }",
        "static/p.svg": "<svg/>",
        "static/c.js": "1\n//# sourceMappingURL=c.js.map\n",
        "static/c.js.map": "{}",
    }
    before = compile_assets(write(tmp_path / "1", files), ["static"], "/assets/", "x").manifest.names
    after = compile_assets(
        write(tmp_path / "2", {**files, "static/p.svg": "<svg></svg>"}), ["static"], "/assets/", "x"
    ).manifest.names
    assert {name for name in before if before[name] != after[name]} == {"a.css", "deep/b.css", "p.svg"}
    sheet = (tmp_path / "2" / FILES / after["deep/b.css"]).read_text()
    assert sheet == f"x {{ y: url(../{after['p.svg']}#part) url('/assets/{after['p.svg']}?v=1') }}"
    script = (tmp_path / "2" / FILES / after["c.js"]).read_text()
    assert script.endswith(f"sourceMappingURL={after['c.js.map']}\n")


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    files = {f"static/{n}.css": f"p{n} {{ color: red }}\n" * 50 for n in range(20)}
    one, other = write(tmp_path / "1", files), write(tmp_path / "elsewhere/2", dict(reversed(files.items())))
    for folder in (one, other):
        compile_assets(folder, ["static"], "/assets/", "x")
    assert tree(one) == tree(other)


def test_what_has_been_compressed_is_not_compressed_again(tmp_path: Path) -> None:
    """Neither what an earlier build has, nor one content under two names; a copy that is gone is made anew."""
    files = {"static/a.css": "a { color: red }\n" * 50, "static/b.css": "b { color: red }\n" * 50}
    earlier = write(tmp_path / "1", files)
    names = compile_assets(earlier, ["static"], "/assets/", "x").manifest.names
    (earlier / FILES / f"{names['b.css']}.gz").unlink()
    changed = {"static/c.css": files["static/a.css"], "static/d.css": "d { color: red }\n" * 50}
    new, alone = (
        write(tmp_path / name, {**files, **changed, "static/e.css": changed["static/d.css"]}) for name in "23"
    )
    compiled = compile_assets(new, ["static"], "/assets/", "x", earlier=(tmp_path / "gone", earlier)).manifest
    compile_assets(alone, ["static"], "/assets/", "x")
    assert tree(new) == tree(alone), "it makes no other difference"

    def copy(name: str, suffix: str = ".br") -> Path:
        return new / FILES / f"{compiled.names[name]}{suffix}"

    for name in ("a.css", "c.css"):
        assert copy(name).samefile(earlier / FILES / f"{names['a.css']}.br")
    assert copy("d.css").samefile(copy("e.css"))
    assert not copy("b.css").samefile(earlier / FILES / f"{names['b.css']}.br")


def test_only_copies_that_are_a_tenth_smaller_are_kept() -> None:
    assert set(compressed("a.css", b"p { color: red }\n" * 50)) == {"br", "gzip", "zstd"}
    assert compressed("a.css", bytes(range(256))) == {}
    assert compressed("a.css", b"short") == {}
    assert compressed("a.png", b"\0" * 5000) == {}
    copy = compressed("a.js", b"x" * 500)["gzip"]
    assert gzip.decompress(copy) == b"x" * 500
    assert copy[4:8] == b"\0\0\0\0", "no time in it (RFC 1952, 2.3.1)"


def test_esbuilds_names_are_kept(tmp_path: Path) -> None:
    outputs = {
        "dist/main-ABCDEFGH.js": {
            "entryPoint": "src/main.js",
            "cssBundle": "dist/main-QRSTUVWX.css",
            "imports": [
                {"path": "dist/chunk-IJKLMNOP.js", "kind": "import-statement"},
                {"path": "dist/late-22222222.js", "kind": "dynamic-import"},
            ],
        },
        "dist/chunk-IJKLMNOP.js": {},
        "dist/late-22222222.js": {},
        "dist/main-QRSTUVWX.css": {},
        "dist/plain.js": {"entryPoint": "src/plain.js", "imports": []},
    }
    text = 'import "./chunk-IJKLMNOP.js";import("./late-22222222.js")'
    write(tmp_path, dict.fromkeys(outputs, "") | {"dist/main-ABCDEFGH.js": text})
    write(tmp_path, {"dist/meta.json": json.dumps({"inputs": {}, "outputs": outputs})})
    manifest = compile_assets(tmp_path, ["dist"], "/assets/", "x").manifest
    assert manifest.names["src/main.js"] == "main-ABCDEFGH.js"
    assert manifest.entries["src/main.js"].css == ("main-QRSTUVWX.css",)
    assert manifest.entries["src/main.js"].imports == ("chunk-IJKLMNOP.js",)
    assert not {"meta.json", "meta.22222222.json"} & set(manifest.files), "which names sources, and is for us"
    assert manifest.files["late-22222222.js"].hashed and not manifest.files["plain.js"].hashed


def test_a_manifest_of_another_kind_is_a_file_like_others(tmp_path: Path) -> None:
    write(tmp_path, {"static/manifest.json": '{"name": "shop", "icons": []}', "static/meta.json": "["})
    assert read_bundled(tmp_path, "static") is None
    assert "manifest.json" in compile_assets(tmp_path, ["static"], "/assets/", "x").manifest.names


def test_assets_of_the_two_builds_before_are_kept(tmp_path: Path) -> None:
    builds = []
    for number in range(5):
        folder = write(tmp_path / str(number), {"static/a.css": f"p {{ order: {number} }}", "static/b.txt": "same"})
        compile_assets(folder, ["static"], "/assets/", "x")
        keep_previous(folder, reversed(builds), ["static"])
        builds.append(folder)
    manifests = [read_manifest(folder) for folder in builds]
    names = [manifest.names["a.css"] for manifest in manifests if manifest is not None]
    assert len(set(names)) == 5
    assert [(builds[4] / FILES / name).exists() for name in names] == [False, False, True, True, True]
    kept = json.loads((builds[4] / ".fungible/assets/previous.json").read_text())["files"]
    assert set(kept) == {names[2], names[3]}


def test_a5_what_a_build_command_is_given(tmp_path: Path) -> None:
    given = {
        "PATH": "/bin",
        "HOME": "/root",
        "NODE_ENV": "production",
        "VITE_TITLE": "a title",
        "VITE_SECRET": "x",
        "DATABASE_URL": "postgres://u:p@h/d",
        "AWS_SECRET_ACCESS_KEY": "x",
        "https_proxy": "http://u:p@proxy:3128",
        "PIP_INDEX_URL": "https://u:p@packages.example/simple",
    }
    found = build_environment(given, tmp_path, tmp_path)
    assert {name for name in given if name in found} == {"PATH", "NODE_ENV", "VITE_TITLE", "https_proxy"}
    assert found["SOURCE_DATE_EPOCH"].isdigit()
    assert withheld_name(["KeyError: 'DATABASE_URL'"], set(given) - found.keys()) == "DATABASE_URL"
    assert withheld_name(["DATABASE_URLS"], {"DATABASE_URL"}) is None

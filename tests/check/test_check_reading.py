"""Which files of a folder are read, and what is said of those that are not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fungible.app.problem import Problem
from fungible.check import reading
from fungible.check.reading import Read, read


def write(folder: Path, *paths: str, text: str = "a = 1\n") -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, timeout=60)


def paths(found: Read) -> list[str]:
    return [each.path for each in found.tree.sources]


def test_code_settings_and_manifests_are_read_sorted(tmp_path: Path) -> None:
    names = [
        "Dockerfile",
        "Procfile",
        "deploy/nginx.conf",
        "k8s/web.yaml",
        "lb.tf",
        "pyproject.toml",
        "shop/views.py",
    ]
    names += ["Makefile", "deploy/nginx/sites-available/shop", "haproxy.cfg.j2", "procfile.dev", "web.Dockerfile"]
    write(tmp_path, *names, "shop/data.csv", "shop/logo.svg", "nginx.md", "deploy/requirements.txt")
    assert paths(read(tmp_path)) == sorted(names)


def test_what_is_installed_made_or_not_served_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "shop/views.py")
    write(
        tmp_path,
        *(f"{each}/x.py" for each in ("node_modules/a", "lib/site-packages/b", ".venv", "build/lib", "dist")),
    )
    write(tmp_path, *(f"shop/{each}/x.py" for each in ("tests", "migrations", "__pycache__", "examples")))
    write(tmp_path, "shop/test_views.py", "conftest.py", "python3/x.py", "shop.egg-info/x.py", "package-lock.json")
    write(tmp_path, "python3/pyvenv.cfg", text="home = /usr\n")
    assert paths(read(tmp_path)) == ["shop/views.py"]


def test_git_decides_in_a_checkout(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, ".gitignore", text="/generated/\n*.local.py\n")
    write(tmp_path, "shop/build/plan.py", "generated/x.py", "settings.local.py", "new.py", "gone.py", "venv2/x.py")
    write(tmp_path, "venv2/pyvenv.cfg")
    git(tmp_path, "add", "shop", "gone.py", "-f", "venv2")
    (tmp_path / "gone.py").unlink()
    assert paths(read(tmp_path)) == ["new.py", "shop/build/plan.py"]
    assert paths(read(tmp_path / "shop")) == ["build/plan.py"]
    assert paths(read(tmp_path / "generated")) == ["x.py"]  # the user names it, so git does not decide


def test_a_hook_of_git_checks_the_app_and_no_other_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, ".gitignore", text="ignored.py\n")
    write(tmp_path, "app/a.py", "app/ignored.py")
    monkeypatch.setenv("GIT_DIR", ".git")  # from where git was called
    assert paths(read(tmp_path / "app")) == ["a.py"]


def test_paths_are_read_with_the_app_that_they_are_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "shop/views.py", "shop/store.py", "tests/test_shop.py", "other/x.py")
    monkeypatch.chdir(tmp_path / "shop")
    alone = read(tmp_path, [Path("views.py")])
    assert (paths(alone), alone.within) == (["shop/views.py"], ("shop/views.py",))
    write(tmp_path, "Procfile")
    joined = read(tmp_path, [Path("views.py"), Path("../other")])
    assert paths(joined) == ["Procfile", "other/x.py", "shop/store.py", "shop/views.py"]
    assert joined.within == ("shop/views.py", "other")


def test_tests_are_read_where_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "shop/views.py", "shop/tests/test_views.py", "shop/tests/data/x.py")
    monkeypatch.chdir(tmp_path)
    assert paths(read(tmp_path, [Path()])) == ["shop/views.py"]
    assert paths(read(tmp_path, [Path("shop/tests")])) == ["shop/tests/data/x.py", "shop/tests/test_views.py"]
    assert paths(read(tmp_path, [Path("shop/tests/test_views.py")])) == ["shop/tests/test_views.py"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "app/a.py", "secret/b.py")
    app = tmp_path / "app"
    (app / "link").symlink_to(tmp_path / "secret")
    (app / "b.py").symlink_to(tmp_path / "secret" / "b.py")
    (app / "round").symlink_to(app)
    assert paths(read(app)) == ["a.py"]
    git(app, "init", "-q")
    git(app, "add", ".")
    assert paths(read(app)) == ["a.py"]
    with pytest.raises(Problem, match="is not in the app's folder"):
        read(app, [app / "link" / "b.py"])


def test_a_path_that_does_not_exist_is_one_sentence(tmp_path: Path) -> None:
    write(tmp_path, "a.py")
    with pytest.raises(Problem, match=r"gone\.py does not exist; name files or folders of the app"):
        read(tmp_path, [tmp_path / "gone.py"])


def test_nothing_to_check_is_no_success(tmp_path: Path) -> None:
    write(tmp_path, "README", "tests/test_a.py")
    with pytest.raises(Problem, match="nothing to check: no Python, no settings, no manifest"):
        read(tmp_path)
    write(tmp_path, "Procfile")
    (tmp_path / "pictures").mkdir()
    with pytest.raises(Problem, match="pictures: nothing to check"):
        read(tmp_path, [tmp_path / "pictures"])
    (tmp_path / "a.py").write_bytes(b"\0")
    with pytest.raises(Problem, match=r"nothing to check: a\.py was not read: it is binary"):
        read(tmp_path, [tmp_path / "a.py"])


def test_what_cannot_be_text_is_passed_over_and_told_of_python(tmp_path: Path) -> None:
    for name in ("a.py", "a.conf"):
        (tmp_path / f"binary-{name}").write_bytes(b"a\0b")
        (tmp_path / f"latin-{name}").write_bytes("# é\na = 1\n".encode("latin-1"))
        (tmp_path / f"long-{name}").write_bytes(b"#" * (reading.LARGEST + 1))
    (tmp_path / "odd.py").write_bytes(b"# coding: nonsense\n")
    (tmp_path / "cookie.py").write_bytes("# coding: latin-1\n# é\n".encode("latin-1"))
    (tmp_path / "windows.py").write_bytes(b"\xef\xbb\xbfa = 1\r\nb = 2\rc = 3\n")
    os.mkfifo(tmp_path / "pipe.py")  # nobody writes: opening it to read would wait for ever
    found = read(tmp_path)
    assert {each.path: each.text for each in found.tree.sources} == {
        "cookie.py": "# coding: latin-1\n# é\n",
        "latin-a.conf": "# é\na = 1\n",
        "windows.py": "a = 1\nb = 2\nc = 3\n",
    }
    assert sorted(found.notices) == [
        "binary-a.py was not read: it is binary",
        "latin-a.py was not read: it is not in the encoding that it names, or not in UTF-8",
        "long-a.py was not read: it is larger than 2 MiB",
        "odd.py was not read: it is not in the encoding that it names, or not in UTF-8",
        "pipe.py was not read: it is no file",
    ]


def test_the_number_of_files_is_bounded_and_the_named_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST", 3)
    write(tmp_path, "Procfile", *(f"{each}.py" for each in "abcdz"))
    found = read(tmp_path, [tmp_path / "z.py"])
    assert len(found.tree.sources) == 3 and "z.py" in paths(found)
    assert found.notices == ("only the first 3 files were read: name the folders that matter",)


def test_names_that_are_no_text_do_not_break_the_reader(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.py")).write_text("a = 1\n")
    (found,) = paths(read(tmp_path))
    assert found.encode() == "caf\ufffd.py".encode()

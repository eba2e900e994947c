"""`fungible check` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.harness import Home

CHECKOUT = Path(__file__).parents[2]
SHOP = (
    "from flask import Flask, request\nfrom store import CARTS\napp = Flask(__name__)\n\n\n"
    '@app.post("/cart")\ndef add():\n    CARTS[request.form["user"]] = request.form["item"]\n    return ""\n\n\n'
    '@app.get("/cart/<user>")\ndef show(user):\n    return CARTS[user]\n'
)
CLEAN = 'from flask import Flask\napp = Flask(__name__)\n\n\n@app.get("/")\ndef index():\n    return "hello"\n'


@pytest.fixture
def folder(home: Home) -> Home:
    """A user in an empty folder."""
    for each in home.app.iterdir():
        each.unlink()
    return home


@pytest.fixture
def shop(folder: Home) -> Home:
    """An app without a Procfile that keeps baskets in its memory."""
    folder.write({"shop.py": SHOP, "store.py": "CARTS = {}\n"})
    return folder


def test_what_holds_state_is_shown_and_is_exit_1(shop: Home) -> None:
    done = shop.run("check")
    assert (done.returncode, done.stderr) == (1, "")
    assert "shop.py\n  8:5  certain   FU101  `CARTS` is changed in `add`" in done.stdout
    assert '8 | CARTS[request.form["user"]] = request.form["item"]' in done.stdout
    assert "\033" not in done.stdout and "1 finding (1 certain) in 2 files" in done.stdout


def test_the_page_shows_what_is_said(shop: Home) -> None:
    page = (CHECKOUT / "docs" / "check.md").read_text()
    shown = page.partition("$ fungible check\n")[2].partition("```")[0]
    assert shop.run("check").stdout == shown


def test_a_clean_app_is_exit_0_in_every_format(folder: Home) -> None:
    folder.write({"app.py": CLEAN})
    done = folder.run("check")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("nothing found in 1 file.")
    assert json.loads(folder.run("check", "--json").stdout)["findings"] == []
    assert json.loads(folder.run("check", "--format", "sarif").stdout)["runs"][0]["results"] == []
    assert folder.run("check", "--format", "github").stdout == ""


def test_one_file_is_judged_by_the_app_that_it_is_in(shop: Home) -> None:
    shop.write({"Procfile": "web: flask --app shop run\n"})
    done = shop.run("check", "shop.py", "--format", "json")
    assert done.returncode == 1 and json.loads(done.stdout)["counts"]["files"] == 1
    assert shop.run("check", "store.py").returncode == 0
    alone = shop.base / "alone"
    alone.mkdir()
    (alone / "x.py").write_text(
        "from flask import Flask\nCARTS = {}\n" + SHOP.replace("from store import CARTS\n", "")
    )
    assert shop.run("check", "--app", str(alone), str(alone / "x.py")).returncode == 1


def test_formats_tell_the_same(shop: Home) -> None:
    found = json.loads(shop.run("check", "--json").stdout)["findings"]
    assert [(each["rule"], each["level"], each["path"], each["line"]) for each in found] == [
        ("FU101", "certain", "shop.py", 8)
    ]
    (shop.base / ".git").mkdir()  # the app is a folder of a checkout
    (result,) = json.loads(shop.run("check", "--format", "sarif").stdout)["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("app/shop.py", 8)
    assert shop.run("check", "--format", "github").stdout.startswith("::error file=app/shop.py,line=8,col=5,")


def test_options_have_their_variables(shop: Home) -> None:
    shop.environment |= {"FUNGIBLE_FORMAT": "github", "FUNGIBLE_LEVEL": "certain", "FUNGIBLE_BASELINE": "known.json"}
    assert "there is no such baseline" in shop.run("check").stderr
    shop.environment["FUNGIBLE_UPDATE_BASELINE"] = "1"
    assert (shop.run("check").returncode, (shop.app / "known.json").exists()) == (0, True)


def test_a_baseline_accepts_what_is_there_and_nothing_new(shop: Home) -> None:
    assert shop.run("check", "--baseline", "known.json", "--update-baseline").returncode == 0
    again = shop.run("check", "--baseline", "known.json")
    assert again.returncode == 0 and "nothing new found" in again.stdout and "FU101 known" in again.stdout
    shop.write(
        {
            "shop.py": f"# moved\n{SHOP}",
            "more.py": SHOP.replace("CARTS", "LISTS"),
            "store.py": "CARTS = {}\nLISTS = {}\n",
        }
    )
    done = shop.run("check", "--baseline", "known.json", "--json")
    assert done.returncode == 1
    assert {each["path"]: each["known"] for each in json.loads(done.stdout)["findings"]} == {
        "more.py": False,
        "shop.py": True,
    }
    shop.write({"shop.py": CLEAN, "more.py": CLEAN})
    done = shop.run("check", "--baseline", "known.json")
    assert done.returncode == 0 and "1 of the baseline not found any more" in done.stdout
    assert shop.run("check", "--baseline", "known.json", "--update-baseline").returncode == 0
    assert json.loads((shop.app / "known.json").read_text()) == {"version": 1, "findings": []}


def test_what_is_declared_does_not_fail(shop: Home) -> None:
    shop.write({"store.py": "# fungible: local(one process by design)\nCARTS = {}\n"})
    done = shop.run("check")
    assert done.returncode == 0 and "1 declared local" in done.stdout
    shop.write({"store.py": "# fungible: local\nCARTS = {}\n"})
    done = shop.run("check")
    assert done.returncode == 1 and "note: store.py:1: this declares nothing without a reason" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("gone.py",), "gone.py does not exist; name files or folders of the app"),
        (("/",), "/ is not in the app's folder"),
        (("--level", "sure"), "--level sure: use one of certain, likely, possible"),
        (("--format", "junit"), "--format junit: use one of text, json, sarif, github"),
        (("--app", "gone"), "--app gone: there is no such folder"),
        (("--update-baseline",), "--update-baseline needs the file: --baseline FILE"),
        (("--baseline", "shop.py"), "shop.py: the baseline is not JSON"),
        (("--baseline", "shop.py", "--update-baseline"), "shop.py: the baseline is not JSON"),
        (("--baseline", "gone/known.json", "--update-baseline"), "the baseline cannot be written"),
        (("--explain", "FUN101"), 'Did you mean "FU101"?'),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(shop: Home, arguments: tuple[str, ...], said: str) -> None:
    done = shop.run("check", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and done.stderr.startswith("fungible: ") and done.stderr.count("\n") == 1
    assert (shop.app / "shop.py").read_text() == SHOP


def test_a_folder_without_anything_to_check_is_no_success(folder: Home) -> None:
    folder.write({"README": "hello\n"})
    done = folder.run("check")
    assert (done.returncode, done.stdout) == (2, "") and "nothing to check" in done.stderr


@pytest.mark.parametrize(
    ("to", "code", "said"),
    [(">&-", 1, ""), (">/dev/full", 3, "fungible: the output cannot be written: No space left on device\n")],
)
def test_an_output_that_takes_nothing_is_no_traceback(shop: Home, to: str, code: int, said: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{shop.command[0]} check {to}"],
        cwd=shop.app, env=shop.variables, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, said)


def test_a_repository_within_the_apps_is_read_too(shop: Home) -> None:
    shop.write({"part/shop.py": SHOP.replace("from store import CARTS", "CARTS = {}")})
    for folder in (shop.app / "part", shop.app):
        subprocess.run(["git", "init", "-q"], cwd=folder, env=shop.variables, check=True, timeout=60)
    found = json.loads(shop.run("check", "--json").stdout)["findings"]
    assert {each["path"] for each in found} == {"shop.py", "part/shop.py"}


def test_a_rule_is_explained_without_an_app(folder: Home) -> None:
    done = folder.run("check", "--explain", "FU101", "--app", "/nowhere")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("# FU101: ") and "Wrong:" in done.stdout and "Right:" in done.stdout


def test_other_verbs_do_not_load_the_rules() -> None:
    script = "import sys, fungible.cli.main; print([n for n in sys.modules if n.startswith('fungible.check')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_hook_runs_a_command_that_there_is(shop: Home) -> None:
    import yaml

    (hook,) = yaml.safe_load((CHECKOUT / ".pre-commit-hooks.yaml").read_text())
    program, *arguments = hook["entry"].split()
    assert program == "fungible" and hook["pass_filenames"] is False
    assert shop.run(*arguments).returncode == 1

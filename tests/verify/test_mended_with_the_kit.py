"""The way that the README shows: the kit keeps elsewhere what verify named, and verify finds no difference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)

BIN = Path(sys.executable).parent
APP = """
import os
from flask import Flask, jsonify, request, session
from fungible_kit import Sessions

app = Flask(__name__)
Sessions(os.environ["VALKEY_URL"]).flask(app)


@app.post("/cart")
def add():
    session.setdefault("cart", []).append(request.form["item"])
    return jsonify(cart=session["cart"])


@app.get("/cart")
def cart():
    return jsonify(cart=session.get("cart", []))
"""
WORKLOAD = """
requests:
  - {method: POST, path: /cart, form: {item: apple}}
  - {method: POST, path: /cart, form: {item: pear}}
  - {method: GET, path: /cart}
  - {method: GET, path: /cart, jar: bob}
"""


def test_sessions_of_the_kit_show_no_difference(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "Procfile").write_text("web: gunicorn -b 127.0.0.1:$PORT shop:app\n")
    (tmp_path / "fungible.toml").write_text('[services]\nVALKEY_URL = "valkey"\n')
    (tmp_path / "visit.yaml").write_text(WORKLOAD)
    ended = subprocess.run(
        [str(BIN / "fungible"), "verify", "visit.yaml", "--json"],
        cwd=tmp_path,
        env={
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(tmp_path / "home"),
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "FUNGIBLE_SESSION_DEVELOPMENT": "1",
        },
        capture_output=True,
        text=True,
        timeout=280,
    )
    report = json.loads(ended.stdout)
    assert (ended.returncode, report["verdict"]) == (0, "no_difference"), report["differences"]
    assert report["sensitivity"]["flagged"] > 0 and not report["not_judged"]

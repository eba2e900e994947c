"""Apps that others wrote, with the Procfile that their own documentation amounts to. Nothing of them is changed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CACHE = Path(os.environ.get("FUNGIBLE_TEST_CACHE", Path.home() / ".cache" / "fungible-tests"))
STORE = '[services]\nSTORE = "folder"\n'
FAST = 'boot_timeout = "120s"\n'


@dataclass(frozen=True)
class ThirdParty:
    """An app: what pip installs, its `web` line, its other files, and a `path` whose answer holds `text`."""

    name: str
    pip: tuple[str, ...]
    web: str
    path: str
    text: str
    settings: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)


APPS = (
    ThirdParty(
        "httpbin",
        ("httpbin[mainapp]==0.10.4", "gunicorn==27.0.1"),
        "gunicorn -b 127.0.0.1:$PORT httpbin:app",
        "/get?a=1",
        '"a": "1"',
    ),
    ThirdParty(
        "datasette",
        ("datasette==0.65.5",),
        "datasette shop.db -h 127.0.0.1 -p $PORT",
        "/shop/t.json?_shape=array",
        '"v": "x"',
        files={
            "make.py": "import sqlite3\nc = sqlite3.connect('shop.db')\n"
            "c.executescript(\"create table t(v text); insert into t values ('x')\")\n"
        },
        settings='build = ["python make.py"]\n',
    ),
    ThirdParty(
        "pypiserver",
        ("pypiserver==2.4.2",),
        "pypi-server run -p $PORT -i 127.0.0.1 -a . -P . --disable-fallback $STORE",
        "/simple/",
        "Simple Index",
    ),
    ThirdParty(
        "radicale",
        ("radicale==3.9.0",),
        "radicale --hosts 127.0.0.1:$PORT --storage-filesystem-folder $STORE/coll --auth-type none",
        "/.web/",
        "Radicale",
    ),
    ThirdParty(
        "wsgidav",
        ("wsgidav==4.4.0", "cheroot==11.1.2", "lxml==6.1.3"),
        "wsgidav -H 127.0.0.1 -p $PORT -r $STORE --auth anonymous --no-config -q",
        "/",
        "WsgiDAV",
    ),
    ThirdParty(
        "moto",
        ("moto[server,s3,sqs,dynamodb]==5.2.5",),
        "moto_server -H 127.0.0.1 -p $PORT",
        "/moto-api/",
        "Moto",
    ),
    ThirdParty(
        "kinto",
        ("kinto==26.5.0", "setuptools==81.0.0", "waitress==3.0.2"),
        "pserve kinto.ini http_port=$PORT",
        "/v1/__heartbeat__",
        "true",
        files={
            "kinto.ini": (
                "[app:main]\nuse = egg:kinto\nkinto.userid_hmac_secret = 0123456789abcdef\n"
                "kinto.storage_backend = kinto.core.storage.memory\nkinto.cache_backend = kinto.core.cache.memory\n"
                "kinto.permission_backend = kinto.core.permission.memory\n"
                "[server:main]\nuse = egg:waitress\nhost = 127.0.0.1\nport = %(http_port)s\n"
            )
        },
    ),
    ThirdParty(
        "trac",
        ("trac==1.6", "setuptools==79.0.1"),
        "tracd -s --port $PORT --hostname 127.0.0.1 $STORE/env",
        "/wiki",
        "Trac",
        settings="release = \"sh -c 'test -d $STORE/env || trac-admin $STORE/env initenv Proj sqlite:db/trac.db'\"\n",
    ),
    ThirdParty(
        "otterwiki",
        ("otterwiki==2.26.1", "gunicorn==27.0.1"),
        "REPOSITORY=$STORE/repo SQLALCHEMY_DATABASE_URI=sqlite:///$STORE/db.sqlite exec gunicorn -b 127.0.0.1:$PORT "
        "otterwiki.server:app",
        "/",
        "Otter",
        settings="release = \"sh -c 'test -d $STORE/repo || git init -q -b main $STORE/repo'\"\n",
        variables={"SECRET_KEY": "0123456789abcdef0123"},
    ),
    ThirdParty(
        "luigi",
        ("luigi==3.8.1",),
        "luigid --address 127.0.0.1 --port $PORT --state-path $TMPDIR/luigi.pickle --logdir $TMPDIR",
        "/static/visualiser/index.html",
        "Luigi",
    ),
)


def environment_of(app: ThirdParty) -> Path:
    """The folder of programs of a virtual environment with the app; made once per set of pins."""
    home = CACHE / f"{app.name}-{hashlib.sha256(repr((app.pip, sys.version)).encode()).hexdigest()[:12]}"
    if not (home / "ready").exists():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, home], check=True)
        install = [uv, "pip", "install", "--quiet", "--python", home / "bin" / "python"]
        subprocess.run([*install, *app.pip], check=True)
        (home / "ready").touch()
    return home / "bin"

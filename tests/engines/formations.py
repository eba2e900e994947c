"""Formations to export: a small shop as its folder declares it, and any that Hypothesis thinks of."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path

from hypothesis import strategies as st

from fungible.app.load import load_app
from fungible.engines.description import LAME_DUCK, PORT, Description, Workload, describe

CONFIG = {"GREETING": "Grüß Gott", "RATE": "1e3", "TERMS": "line one\nline two\n", "SECRET_KEY": "hush-hush-hush"}
_FILES = {
    "Procfile": """\
web: gunicorn --workers 1 --bind 127.0.0.1:$PORT shop:app
mail_sender: python -m shop.mail
clock: python -m shop.clock
release: python -m shop.migrate
""",
    "fungible.toml": """\
[types.web]
processes = 3
ready = "/healthz"
memory = "256MiB"
[types.mail_sender]
processes = 2
stop_signal = "INT"
cpu = 0.5
max_age = "24h"
[types.clock]
singleton = true
""",
}


def shop(folder: Path, config: dict[str, str] | None = None, *, networks: bool = True) -> Description:
    """A shop with web processes, workers, a clock and a release command, written into `folder`."""
    for name, text in _FILES.items():
        (folder / name).write_text(text)
    app = load_app(folder)
    described = describe(
        app,
        ("registry.example/shop:v3", "haproxy:2.8-alpine"),
        "v3",
        CONFIG if config is None else config,
        networks=networks,
    )
    return replace(described, name="shop")


_RUN = st.just("run")
_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
_NAME = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", fullmatch=True).filter(lambda name: name != "release")
_VARIABLE = st.from_regex(r"[A-Z_][A-Z0-9_]{0,10}", fullmatch=True).map(lambda name: f"V_{name}")
_SECONDS = st.one_of(st.integers(0, 3600).map(float), st.floats(0.001, 100))
_PATH = st.text(string.ascii_letters + string.digits + "/%?=&'\"{}$#-_.~", max_size=20).map(lambda text: f"/{text}")
# Long and marked, so that no file has them by chance.
_SECRET = st.tuples(st.uuids(), _TEXT).map(lambda parts: f"hush-{parts[0]}{parts[1]}")


@st.composite
def workloads(draw: st.DrawFn, name: str, command: st.SearchStrategy[str]) -> Workload:
    """A process type of this name; it listens if it is `web`, and maybe otherwise."""
    listens = name == "web" or draw(st.booleans())
    singleton = draw(st.booleans())
    return Workload(
        name=name,
        command=draw(command),
        processes=draw(st.integers(0, 1 if singleton else 12)),
        singleton=singleton,
        port=PORT if listens else None,
        ready=draw(st.none() | _PATH) if listens else None,
        memory=draw(st.integers(1 << 20, 1 << 40)),
        cpu=draw(st.none() | st.floats(0.01, 64)),
        files=draw(st.none() | st.integers(16, 10_000_000)),
        max_in_flight=draw(st.sampled_from((0, 1, 8))),
        stop_signal=draw(st.sampled_from(("TERM", "INT", "QUIT"))),
        boot_timeout=draw(_SECONDS.filter(bool)),
        drain_timeout=draw(_SECONDS),
        stop_timeout=draw(_SECONDS),
        lame_duck=LAME_DUCK if listens else 0.0,
        max_age=draw(st.none() | st.floats(0.1, 1e6)),
        max_requests=draw(st.sampled_from((0, 1000))),
    )


@st.composite
def descriptions(draw: st.DrawFn, command: st.SearchStrategy[str] = _RUN) -> Description:
    """Any formation whose types have names that differ by more than case."""
    names = draw(st.lists(_NAME, max_size=3, unique_by=lambda name: name.lower().replace("_", "-").rstrip("-")))
    if draw(st.booleans()) and "web" not in {name.lower().rstrip("_-") for name in names}:
        names.append("web")
    config = draw(st.dictionaries(_VARIABLE, _TEXT, max_size=4))
    secrets = draw(st.dictionaries(_VARIABLE.map(lambda name: f"{name}_KEY"), _SECRET, max_size=3))
    return Description(
        name=draw(st.sampled_from(("shop", "a", "0-9", "x" * 40))),
        image=draw(
            st.sampled_from(("shop", "localhost:5000/shop", "r.example/a/shop:v3", "shop@sha256:" + "0" * 64))
        ),
        router="haproxy:2.8-alpine",
        release="v3",
        workloads=tuple(draw(workloads(name, command)) for name in names) or (draw(workloads("web", command)),),
        release_command=draw(st.none() | command),
        config=config,
        secrets=secrets,
        request_timeout=draw(_SECONDS.filter(bool)),
    )

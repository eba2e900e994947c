"""Settings: the design's example, one declaration for all uses, and random data."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.app.problem import Problem
from fungible.app.settings import Settings, apply_options, options, parse_settings, settings_table

pytestmark = pytest.mark.pure

EXAMPLE = """
build = ["npm ci", "npx vite build"]
release = "python manage.py migrate"
isolation = "full"
boot_timeout = "90s"
drain_timeout = 1.5
stop_timeout = "500ms"
[types.web]
processes = 2
ready = "/healthz"
callable = "wsgi:shop.wsgi:application"
listen = "unix"
max_in_flight = 8
max_requests = 1000
cpu = 1
files = 1024
boot_timeout = "5m"
[types.clock]
singleton = true
[types.worker]
stop_signal = "SIGINT"
max_age = "24h"
memory = "512MiB"
[router]
queue_timeout = "5s"
request_timeout = "30s"
max_body = "10MB"
certificate = "cert.pem"
[services]
VALKEY_URL = "valkey"
DATABASE_URL = "sqlite"
STORE = "folder"
[assets]
roots = ["static", "dist"]
url = "https://cdn.example/assets/"
[verify]
workload = "tests/workload.yaml"
setup = "python manage.py migrate"
reset = "bash reset.sh"
[verify.stores.search]
snapshot = "a"
restore = "b"
dump = "c"
"""


def test_every_key_of_the_example_is_read() -> None:
    settings = parse_settings(tomllib.loads(EXAMPLE), "fungible.toml")
    web, clock, worker = (settings.types[name] for name in ("web", "clock", "worker"))
    assert settings.build == ("npm ci", "npx vite build")
    assert settings.release == "python manage.py migrate"
    assert settings.isolation == "full"
    assert (settings.boot_timeout, settings.drain_timeout, settings.stop_timeout) == (90.0, 1.5, 0.5)
    assert (web.processes, web.ready, web.listen, web.max_in_flight) == (2, "/healthz", "unix", 8)
    assert (web.callable, web.max_requests, web.cpu, web.files) == ("wsgi:shop.wsgi:application", 1000, 1.0, 1024)
    assert (web.boot_timeout, web.drain_timeout, web.stop_timeout) == (300.0, None, None)
    assert (clock.singleton, web.singleton) == (True, False)
    assert (worker.stop_signal, worker.max_age, worker.memory) == ("INT", 86400.0, 512 << 20)
    assert (settings.router.queue_timeout, settings.router.request_timeout) == (5.0, 30.0)
    assert (settings.router.max_body, settings.router.certificate) == (10_000_000, "cert.pem")
    assert settings.services == {"VALKEY_URL": "valkey", "DATABASE_URL": "sqlite", "STORE": "folder"}
    assert (settings.assets.roots, settings.assets.url) == (("static", "dist"), "https://cdn.example/assets/")
    assert settings.verify.workload == ("tests/workload.yaml",)
    assert (settings.verify.setup, settings.verify.reset) == ("python manage.py migrate", "bash reset.sh")
    assert (settings.verify.stores["search"].snapshot, settings.verify.stores["search"].dump) == ("a", "c")


def test_settings_can_be_kept_as_json() -> None:
    settings = parse_settings(tomllib.loads(EXAMPLE), "fungible.toml")
    assert msgspec.json.decode(msgspec.json.encode(settings), type=Settings) == settings


def test_nothing_given_is_the_defaults() -> None:
    settings = parse_settings({}, "fungible.toml")
    assert settings == Settings()
    assert (settings.isolation, settings.boot_timeout, settings.drain_timeout) == ("auto", 60.0, 30.0)
    assert parse_settings({"types": {"web": {}}}, "x").types["web"].processes == 1
    assert settings.router.max_body == 1 << 30


def test_the_table_has_every_key_of_the_example() -> None:
    rows = settings_table().splitlines()[2:]
    keys = {row.split("`")[1] for row in rows}

    def flat(data: dict[str, Any], inside: str) -> set[str]:
        found = set()
        for key, value in data.items():
            if inside in ("types.", "verify.stores."):
                key = "<name>"
            elif inside == "services.":
                key = "<NAME>"
            found |= flat(value, f"{inside}{key}.") if isinstance(value, dict) else {inside + key}
        return found

    missing = flat(tomllib.loads(EXAMPLE), "") - keys
    assert not missing
    assert len(keys) == len(rows)
    assert all(row.count("|") - row.count("\\|") == 5 for row in rows)


def test_the_defaults_of_the_table_are_read_back_as_the_defaults() -> None:
    rows = [row.split(" | ") for row in settings_table().splitlines()[2:]]
    text = ""
    for row in rows:
        key, default = row[0].strip("|` "), row[-2].strip("` ")
        if default and "<" not in key:
            text += f"{key} = {default}\n"
    assert "boot_timeout" in text
    assert parse_settings(tomllib.loads(text), "x") == Settings()


def test_options_are_settings_with_a_flag_and_a_twin() -> None:
    by_name = {option.name: option for option in options()}
    times = {"boot_timeout", "drain_timeout", "stop_timeout"}
    assert set(by_name) == {"isolation", *times, "metrics_port", "metrics_host"}
    assert by_name["boot_timeout"].flag == "--boot-timeout"
    assert by_name["boot_timeout"].environment == "FUNGIBLE_BOOT_TIMEOUT"
    assert by_name["isolation"].default == "auto"
    assert by_name["isolation"].help.endswith(".")


def test_what_the_command_line_gives_wins() -> None:
    settings = parse_settings({"boot_timeout": "5s", "isolation": "copy"}, "x")
    changed = apply_options(settings, {"boot_timeout": "7", "isolation": None, "stop_timeout": "1m"})
    assert (changed.boot_timeout, changed.isolation, changed.stop_timeout) == (7.0, "copy", 60.0)
    assert settings.boot_timeout == 5.0


@pytest.mark.parametrize("given", ["wsgi:a:b", "asgi:a.b:c.d", "wsgi:a:make()"])
def test_callables(given: str) -> None:
    assert parse_settings({"types": {"web": {"callable": given}}}, "x").types["web"].callable == given


def test_the_docs_have_this_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    if not page.exists():
        pytest.skip("no page of settings")
    assert settings_table() in page.read_text()


KEYS = st.sampled_from(
    [
        *("types", "web", "worker", "router", "services", "assets", "verify", "stores", "search", "processes"),
        *("ready", "memory", "cpu", "build", "release", "boot_timeout", "snapshot", "restore", "roots", "url"),
    ]
) | st.text(max_size=5)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["60s", "1GiB", "auto", "valkey", "/x", "TERM", "\0", "\udc80", 10**400])
    | st.datetimes()
)
DATA = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.integers(), inner, max_size=4)
)


@given(st.dictionaries(KEYS, DATA, max_size=4) | DATA)
def test_any_data_is_read_or_refused_in_one_sentence(data: object) -> None:
    try:
        settings = parse_settings(data, "fungible.toml")
    except Problem as problem:
        assert problem.message.startswith("fungible.toml: ")
        assert problem.message.isprintable()
    else:
        assert isinstance(settings, Settings)

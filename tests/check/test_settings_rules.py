"""The rules over what frameworks and servers are told: each finds its mistake and is silent about its mend."""

from __future__ import annotations

import pytest

from fungible.app.mend import CLASSES
from fungible.check import settings
from fungible.check.finding import Finding, Level, Rule
from fungible.check.tree import Tree

pytestmark = pytest.mark.pure

# The file that a rule's examples are in; a Python module where it is not here.
FILES = {"FU211": "Procfile", "FU301": "Procfile"}
FLASK = "from flask import Flask\napp = Flask(__name__)\n"
FASTAPI = "import os\nfrom fastapi import FastAPI\napp = FastAPI()\n"


def found(*texts: tuple[str, str]) -> list[Finding]:
    return list(settings.find(Tree.of(texts)))


def of(rule: str, text: str, path: str = "shop.py") -> list[Level]:
    return [each.level for each in found((path, text)) if each.rule == rule]


@pytest.mark.parametrize("rule", settings.RULES, ids=lambda rule: rule.id)
def test_a_rule_finds_its_wrong_and_not_its_right(rule: Rule) -> None:
    path = FILES.get(rule.id, "shop.py")
    assert of(rule.id, rule.wrong, path)
    assert not of(rule.id, rule.right, path)
    assert rule.topic is None or rule.topic in CLASSES
    assert not rule.why.startswith(" ") and rule.mend.endswith(".")


def test_the_rules_are_all_there() -> None:
    assert [rule.id for rule in settings.RULES] == [*(f"FU{n}" for n in range(201, 215)), "FU301", "FU302", "FU303"]


@pytest.mark.parametrize(
    ("rule", "level", "text"),
    [
        ("FU202", "certain", "from starsessions import InMemoryStore as S\nstore = S()\n"),
        ("FU202", "likely", "from sanic_session import Session\nfrom shop import app\nSession(app)\n"),
        (
            "FU202",
            "certain",
            FLASK + 'import flask_session\napp.config.update(SESSION_TYPE="filesystem")\n'
            "flask_session.Session(app)\n",
        ),
        ("FU202", "possible", FLASK + "from flask_session import Session\nSession(app)\n"),
        ("FU202", "likely", 'import cherrypy\ncherrypy.quickstart(App(), "/", {"/": {"tools.sessions.on": True}})\n'),
        (
            "FU202",
            "likely",
            "from litestar import Litestar\n"
            "from litestar.middleware.session.server_side import ServerSideSessionConfig\n"
            "app = Litestar([], middleware=[ServerSideSessionConfig().middleware])\n",
        ),
        ("FU204", "certain", FASTAPI + 'from sqlalchemy import create_engine\nengine = create_engine("sqlite://")\n'),
        (
            "FU204",
            "likely",
            FASTAPI + "from pathlib import Path\nfrom sqlalchemy.ext.asyncio import create_async_engine\n"
            'HERE = Path(__file__).parent\nengine = create_async_engine(f"sqlite+aiosqlite:///{HERE}/a.db")\n',
        ),
        (
            "FU204",
            "possible",
            FASTAPI + "from sqlalchemy import create_engine\n"
            'engine = create_engine(os.getenv("DATABASE_URL", "sqlite:///./a.db"))\n',
        ),
        (
            "FU204",
            "possible",
            FASTAPI + "from pydantic_settings import BaseSettings\nfrom sqlmodel import create_engine\n"
            'class S(BaseSettings):\n    url: str = "sqlite:///./a.db"\ns = S()\nengine = create_engine(s.url)\n',
        ),
        ("FU204", "certain", FLASK + 'from peewee import SqliteDatabase as D\ndb = D(":memory:")\n'),
        (
            "FU204",
            "likely",
            FLASK + "from flask_sqlalchemy import SQLAlchemy\n"
            'app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///a.db"\ndb = SQLAlchemy(app)\n',
        ),
        ("FU206", "certain", 'from celery import Celery\napp = Celery("a")\napp.conf.broker_url = "memory://"\n'),
        ("FU206", "certain", 'from huey import MemoryHuey\nhuey = MemoryHuey("a")\n'),
        ("FU206", "likely", 'from huey import SqliteHuey\nhuey = SqliteHuey("a", filename="jobs.db")\n'),
        ("FU206", "certain", "from dramatiq.brokers.stub import StubBroker\nbroker = StubBroker()\n"),
        (
            "FU207",
            "certain",
            FLASK + 'import flask_limiter\nl = flask_limiter.Limiter(key, storage_uri="memory://")\n',
        ),
        ("FU207", "likely", FASTAPI + "from slowapi import Limiter as L\nlimiter = L(key_func=who)\n"),
        ("FU207", "likely", "from quart_rate_limiter import RateLimiter\nRateLimiter(app)\n"),
        (
            "FU208",
            "likely",
            "from fastapi_cache import FastAPICache\n"
            "from fastapi_cache.backends.inmemory import InMemoryBackend\nFastAPICache.init(InMemoryBackend())\n",
        ),
        ("FU208", "likely", "from aiocache import Cache\ncache = Cache(Cache.MEMORY)\n"),
        ("FU208", "likely", 'from cashews import cache\ncache.setup("mem://")\n'),
        (
            "FU208",
            "likely",
            'from dogpile.cache import make_region\nr = make_region().configure("dogpile.cache.memory")\n',
        ),
        ("FU209", "likely", "import socketio\nsio = socketio.AsyncServer(async_mode='asgi')\n"),
        ("FU211", "likely", "from nicegui import ui\nui.run()\n"),
        ("FU211", "likely", "import gradio as gr\nwith gr.Blocks() as demo:\n    pass\ndemo.launch()\n"),
        ("FU214", "likely", FLASK + 'from logging.handlers import RotatingFileHandler as R\nh = R("logs/app.log")\n'),
        ("FU303", "likely", FLASK + "import multiprocessing\nhits = multiprocessing.Value('i', 0)\n"),
    ],
)
def test_wrong(rule: str, level: str, text: str) -> None:
    assert of(rule, text) == [Level(level)]


@pytest.mark.parametrize(
    "text",
    [
        "class Limiter:\n    def __init__(self, **kw): ...\nlimiter = Limiter()\n",
        FLASK + 'from flask_limiter import Limiter\nl = Limiter(key, storage_uri=os.environ["REDIS_URL"])\n',
        FLASK + 'from flask_limiter import Limiter\napp.config["RATELIMIT_STORAGE_URI"] = os.environ["U"]\n'
        "l = Limiter(key)\nl.init_app(app)\n",
        FLASK + "from flask_caching import Cache\ncache = Cache(app)\n",  # NullCache
        FASTAPI
        + 'from sqlalchemy import create_engine\nengine = create_engine("sqlite:///" + os.environ["STORE"] + "/a")\n',
        FASTAPI
        + "from sqlalchemy import create_engine\nengine = create_engine(f\"sqlite:///{os.environ['STORE']}/a\")\n",
        FASTAPI + 'from sqlalchemy import create_engine\nif DEBUG:\n    e = create_engine("sqlite://")\n',
        FASTAPI + "from pydantic_settings import BaseSettings\nfrom sqlmodel import create_engine\n"
        "class S(BaseSettings):\n    url: str\ndef get(): return S()\nengine = create_engine(get().url)\n",
        "from celery import Celery\nimport os\napp = Celery('a', broker=os.environ['BROKER'], backend='rpc://')\n",
        "import os\nfrom aiohttp_session import SimpleCookieStorage\nstore = SimpleCookieStorage()\n",
        FLASK
        + "from flask_socketio import SocketIO\nsocketio = SocketIO()\nsocketio.init_app(app, message_queue=QUEUE)\n",
        FLASK + 'import logging\nh = logging.FileHandler("/dev/stdout")\n',
        FLASK + 'import logging, os\nh = logging.FileHandler(os.environ["LOG"])\n',
        FLASK + "import multiprocessing\ndef work():\n    return multiprocessing.Value('i', 0)\n",
        "import random\nfrom flask import Flask\nclass Value: ...\nv = Value()\n",
    ],
)
def test_right(text: str) -> None:
    assert found(("shop.py", text)) == []


def test_a_name_is_followed_through_what_the_program_re_exports() -> None:
    texts = (
        ("shop/ext.py", "from flask_limiter import Limiter\n"),
        ("shop/app.py", "from shop.ext import Limiter as L\nlimiter = L(key)\n"),
    )
    assert [(each.rule, each.path, each.symbol) for each in found(*texts)] == [("FU207", "shop/app.py", "limiter")]


@pytest.mark.parametrize("path", ["tests/test_app.py", "conftest.py", "shop/dev.py", "config/local.py"])
def test_what_is_for_tests_and_development_is_none(path: str) -> None:
    assert found((path, "from flask_limiter import Limiter\nlimiter = Limiter(key)\n")) == []


def test_beside_the_app_and_under_a_condition_it_is_possible() -> None:
    text = "from flask_limiter import Limiter\nlimiter = Limiter(key)\n"
    assert of("FU207", text, "examples/app.py") == [Level.POSSIBLE]
    conditional = "from flask_limiter import Limiter\nif redis:\n    pass\nelse:\n    limiter = Limiter(key)\n"
    assert of("FU207", conditional) == [Level.POSSIBLE]
    fallback = "try:\n    import redis\nexcept ImportError:\n    from huey import MemoryHuey\n    h = MemoryHuey()\n"
    assert of("FU206", fallback) == [Level.POSSIBLE]


def test_metrics_are_likely_where_several_workers_are_told() -> None:
    app = ("shop.py", FLASK + "from prometheus_client import make_wsgi_app\nm = make_wsgi_app()\n")
    several = ("Procfile", "web: gunicorn -w 4 shop:app\n")
    levels = [each.level for each in found(app, several) if each.rule == "FU210"]
    assert levels == [Level.LIKELY]
    multi = ("Dockerfile", "ENV PROMETHEUS_MULTIPROC_DIR=/tmp/metrics\n")
    assert found(app, several, multi) == []


def test_a_config_that_is_read_from_elsewhere_makes_defaults_possible() -> None:
    text = (
        FLASK + 'from flask_sqlalchemy import SQLAlchemy\napp.config.update(SQLALCHEMY_DATABASE_URI="sqlite:///a")\n'
    )
    assert of("FU204", text) == [Level.LIKELY]
    assert of("FU204", text + 'app.config.from_envvar("SHOP_SETTINGS")\n') == [Level.POSSIBLE]


def test_a_module_may_be_its_own_config() -> None:
    text = (
        FLASK + "from cachelib import FileSystemCache\nfrom flask_session import Session\nSESSION_TYPE = 'cachelib'\n"
    )
    text += "SESSION_CACHELIB = FileSystemCache('sessions')\napp.config.from_object(__name__)\nSession(app)\n"
    assert [(each.rule, each.level) for each in found(("shop.py", text))] == [("FU202", Level.LIKELY)]


def test_of_classes_what_production_sets_anew_is_none() -> None:
    base = 'import os\nclass Config:\n    SQLALCHEMY_DATABASE_URI = "sqlite:///a.db"\n'
    development = "class DevelopmentConfig(Config):\n    DEBUG = True\n"
    production = 'class ProductionConfig(Config):\n    SQLALCHEMY_DATABASE_URI = os.environ["URL"]\n'
    app = ("shop/app.py", FLASK + "from flask_sqlalchemy import SQLAlchemy\ndb = SQLAlchemy(app)\n")
    assert found(("shop/config.py", base + development + production), app) == []
    assert [each.level for each in found(("shop/config.py", base + development), app)] == [Level.LIKELY]

"""Django's settings, read over the chain of modules that production uses."""

from __future__ import annotations

import pytest

from fungible.check import settings
from fungible.check.finding import Level
from fungible.check.tree import Tree

pytestmark = pytest.mark.pure

APPS = "import os\nfrom pathlib import Path\nBASE_DIR = Path(__file__).resolve().parent.parent\n"
APPS += 'ROOT_URLCONF = "shop.urls"\n'
APPS += 'INSTALLED_APPS = ["django.contrib.sessions", "rest_framework", "shop"]\n'
REDIS = 'CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache"}}\n'
SQLITE = 'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}\n'
POSTGRES = 'DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["DB"]}}\n'
THROTTLE = 'REST_FRAMEWORK = {"DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"]}\n'


def found(*texts: tuple[str, str]) -> dict[str, Level]:
    """Rule -> level, what is only possible about a cache that nobody relies on left out."""
    every = settings.find(Tree.of(texts))
    return {each.rule: each.level for each in every if each.rule != "FU201" or ", and " in each.message}


def one(text: str) -> dict[str, Level]:
    return found(("shop/settings.py", APPS + text))


@pytest.mark.parametrize(
    ("text", "rule", "level"),
    [
        (THROTTLE, "FU201", "likely"),
        ("CACHES = {'default': {'BACKEND': 'django.core.cache.backends.filebased.FileBasedCache'}}\n" + THROTTLE,
         "FU201", "likely"),
        ('SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"\n', "FU201", "likely"),
        ('SESSION_ENGINE = "django.contrib.sessions.backends.cache"\n', "FU202", "certain"),
        ('SESSION_ENGINE = "django.contrib.sessions.backends.file"\n', "FU202", "certain"),
        ("CACHES = {'default': {'BACKEND': os.environ.get('B', 'django.core.cache.backends.locmem.LocMemCache')}}\n"
         + THROTTLE, "FU201", "possible"),
        (SQLITE, "FU204", "likely"),
        ('DATABASES = {"default": dj_database_url.parse("sqlite:///db.sqlite3")}\n', "FU204", "likely"),
        ('import environ\nenv = environ.Env()\nDATABASES = {"default": env.db("URL", default="sqlite:///a.db")}\n',
         "FU204", "possible"),
        ('import dj_database_url\nDATABASES = {"default": dj_database_url.config(default="sqlite:///a.db")}\n',
         "FU204", "possible"),
        (SQLITE + 'import dj_database_url\nDATABASES["default"].update(dj_database_url.config(conn_max_age=5))\n',
         "FU204", "possible"),
        (SQLITE + 'if "DATABASE_URL" in os.environ:\n    ' + POSTGRES, "FU204", "possible"),
        (SQLITE + "import django_heroku\ndjango_heroku.settings(locals())\n", "FU204", "possible"),
        ('CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}\n', "FU205", "certain"),
        ('CELERY_BROKER_URL = "memory://"\n', "FU206", "certain"),
        ('CELERY_BROKER_URL = os.environ.get("BROKER", "memory://")\n', "FU206", "possible"),
        ('HUEY = {"huey_class": "huey.MemoryHuey"}\n', "FU206", "certain"),
        ('INSTALLED_APPS += ["compressor"]\n', "FU213", "likely"),
        ('LOGGING = {"handlers": {"f": {"class": "logging.FileHandler", "filename": BASE_DIR / "a.log"}},'
         ' "root": {"handlers": ["f"]}}\n', "FU214", "likely"),
    ],
)  # fmt: skip
def test_wrong(text: str, rule: str, level: str) -> None:
    assert one("import dj_database_url\n" + text if "dj_" in text else text).get(rule) == Level(level)


@pytest.mark.parametrize(
    "text",
    [
        REDIS + THROTTLE,
        'CACHES = {"default": env.cache_url("CACHE_URL")}\n' + THROTTLE,
        REDIS + 'SESSION_ENGINE = "django.contrib.sessions.backends.cache"\n',
        'SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"\n',
        POSTGRES,
        'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["STORE"] + "/db"}}\n',
        'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(os.getenv("S"))}}\n',
        "if DEBUG:\n    " + SQLITE + "else:\n    " + POSTGRES,
        POSTGRES + "import sys\nif 'test' in sys.argv:\n    " + SQLITE,
        SQLITE + "if not DEBUG:\n    " + POSTGRES,
        'INSTALLED_APPS += ["compressor"]\nCOMPRESS_OFFLINE = True\n',
        'LOGGING = {"handlers": {"f": {"class": "logging.FileHandler"}}, "root": {"handlers": ["c"]}}\n',
    ],
)
def test_right(text: str) -> None:
    assert one(text) == {}


def test_what_production_overrides_is_no_finding() -> None:
    base = ("shop/settings/base.py", APPS + SQLITE + THROTTLE)
    development = ("shop/settings/dev.py", "from .base import *\nDEBUG = True\n")
    production = ("shop/settings/production.py", "from .base import *\n" + REDIS + POSTGRES)
    assert found(base, development, production) == {}


def test_what_only_development_sets_is_no_finding() -> None:
    base = ("shop/settings/base.py", APPS + REDIS + POSTGRES)
    development = ("shop/settings/dev.py", "from .base import *\n" + SQLITE)
    production = ("shop/settings/production.py", "from .base import *\nALLOWED_HOSTS = ['*']\n")
    assert found(base, development, production) == {}


def test_a_finding_is_told_where_the_name_was_bound() -> None:
    texts = [
        ("shop/settings/base.py", APPS + SQLITE),
        ("shop/settings/production.py", "from .base import *\nDEBUG = False\n"),
        ("shop/settings/__init__.py", ""),
    ]
    every = [each for each in settings.find(Tree.of(texts)) if each.rule == "FU204"]
    assert [(each.path, each.line, each.symbol) for each in every] == [
        ("shop/settings/base.py", 6, "DATABASES.default")
    ]


def test_where_no_module_is_for_production_base_is_possible() -> None:
    texts = [
        ("s/base.py", APPS + SQLITE),
        ("s/local.py", "from .base import *\n"),
        ("s/test.py", "from .base import *\n"),
    ]
    assert found(*texts) == {"FU204": Level.POSSIBLE}


def test_a_module_is_chosen_by_the_environment() -> None:
    chosen = 'import os\nif os.environ["ENV"] == "production":\n    from .production import *\n'
    chosen += "else:\n    from .dev import *\n"
    texts = [
        ("s/__init__.py", chosen),
        ("s/base.py", APPS),
        ("s/production.py", "from .base import *\n" + POSTGRES),
        ("s/dev.py", "from .base import *\n" + SQLITE),
    ]
    assert found(*texts) == {}


def test_uploads_need_a_field_that_keeps_them() -> None:
    model = "from django.db import models\nclass Product(models.Model):\n    picture = models.ImageField()\n"
    local = ("shop/settings.py", APPS)
    assert found(local) == {}
    assert found(local, ("shop/models.py", model)) == {"FU203": Level.LIKELY}
    attached = ("shop/settings.py", APPS + 'MEDIA_ROOT = os.environ["MEDIA"]\n')
    assert found(attached, ("shop/models.py", model)) == {}
    service = ("shop/settings.py", APPS + 'DEFAULT_FILE_STORAGE = "storages.backends.s3boto3.S3Boto3Storage"\n')
    assert found(service, ("shop/models.py", model)) == {}


def test_code_that_deletes_from_the_cache_relies_on_it() -> None:
    code = ("shop/views.py", "from django.core.cache import cache as c\ndef save(r):\n    c.delete('a')\n")
    assert found(("shop/settings.py", APPS), code) == {"FU201": Level.LIKELY}
    assert found(("shop/settings.py", APPS + REDIS), code) == {}


def test_settings_may_be_given_to_configure() -> None:
    text = (
        "from django.conf import settings\nif not settings.configured:\n    settings.configure(ROOT_URLCONF=__name__,"
    )
    text += 'SESSION_ENGINE="django.contrib.sessions.backends.cache", INSTALLED_APPS=[])\n'
    assert found(("app.py", text)) == {"FU202": Level.CERTAIN}

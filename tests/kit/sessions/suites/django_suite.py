"""Django's own test cases of sessions, run against the kit's engine and its middleware.

usage: django_suite.py SOURCE URL; SOURCE is an unpacked source distribution of Django (the wheel has no tests), URL a
store of sessions. `make suites` fetches the one and starts the other. Exits with 1 where a case fails.
"""

from __future__ import annotations

import sys
import unittest
from pathlib import Path
from typing import Any

import django
from django.conf import settings

SOURCE, URL = Path(sys.argv[1]), sys.argv[2]

ENGINE_SKIPS = {
    "test_session_key_valid_string_saved": "an id that we did not issue never becomes a key (S2)",
}
MIDDLEWARE_SKIPS = {
    "test_session_update_error_redirect": "a request whose session was ended meanwhile is answered, not refused",
    "test_empty_session_saved": "it looks into Django's own table",
}

settings.configure(
    SECRET_KEY="of-the-suite",
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.sessions"],
    SESSION_ENGINE="fungible_kit.sessions.django",
    FUNGIBLE_SESSIONS={"store": URL, "deadline": "10s"},
    USE_TZ=False,
)
sys.path.insert(0, str(SOURCE / "tests"))
django.setup()

from django.db import models  # noqa: E402
from django.test import SimpleTestCase  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402

# Their module declares a model of an app of its own, which is not installed here.
models.options.DEFAULT_NAMES = (*models.options.DEFAULT_NAMES, "app_label")
settings.INSTALLED_APPS.append("sessions_tests")
django.apps.apps.set_installed_apps(settings.INSTALLED_APPS)

import sessions_tests.tests as theirs  # noqa: E402

from fungible_kit.sessions.django import SessionMiddleware, SessionStore  # noqa: E402


class EngineTests(theirs.SessionTestsMixin, SimpleTestCase):  # type: ignore[misc]
    """Their cases for every engine."""

    backend = SessionStore


theirs.SessionMiddleware = SessionMiddleware


class MiddlewareTests(theirs.SessionMiddlewareTests):  # type: ignore[misc]
    """Their cases of the middleware, on ours."""

    databases: Any = frozenset()


def skipped(case: type, reasons: dict[str, str]) -> type:
    for name, reason in reasons.items():
        setattr(case, name, unittest.skip(reason)(getattr(case, name)))
    return case


if __name__ == "__main__":
    setup_test_environment()
    suite = unittest.TestSuite()
    for case, reasons in ((EngineTests, ENGINE_SKIPS), (MiddlewareTests, MIDDLEWARE_SKIPS)):
        suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(skipped(case, reasons)))
    done = unittest.TextTestRunner(verbosity=2).run(suite)
    sys.exit(0 if done.wasSuccessful() else 1)

"""A Django project with a REST framework view, asked with the headers of stdin; prints an answer a line."""

from __future__ import annotations

import json
import sys
from typing import Any

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="only-for-this-test",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[2]}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from fungible_kit import Tokens  # noqa: E402

tokens = Tokens(sys.argv[1], prefix="acme")
Authentication = tokens.rest_framework()


class Data(APIView):  # type: ignore[misc]
    authentication_classes = (Authentication,)
    permission_classes = (Authentication.requires("read"),)

    def get(self, request: Any) -> Response:
        return Response({"user": request.user.username, "token": request.auth.token_id})


class Public(APIView):  # type: ignore[misc]
    authentication_classes = (Authentication,)
    permission_classes = ()

    def get(self, request: Any) -> Response:
        return Response({"user": str(request.user)})


urlpatterns = [path("data", Data.as_view()), path("public", Public.as_view())]

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    users = get_user_model().objects
    ann = users.create_user("ann")
    users.create_user("gone", is_active=False)
    client = Client()
    print(json.dumps({user.username: user.pk for user in users.all()}), flush=True)
    for line in sys.stdin:
        target, header = json.loads(line)
        answer = client.get(target, headers={"Authorization": header} if header else {})
        headers = {name.lower(): value for name, value in answer.headers.items()}
        print(json.dumps([answer.status_code, headers, answer.json()]), flush=True)

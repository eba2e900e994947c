"""A Django project in one file, and what test_django.py asks of it. The arguments name the cases."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings

OURS = os.environ["MIDDLEWARE"] == "ours"
NAME = "__Host-sid"

settings.configure(
    SECRET_KEY="only-for-this-test",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.messages"],
    MIDDLEWARE=[
        "fungible_kit.sessions.django.SessionMiddleware"
        if OURS
        else "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    MESSAGE_STORAGE="django.contrib.messages.storage.session.SessionStorage",
    SESSION_ENGINE="fungible_kit.sessions.django",
    SESSION_COOKIE_NAME=NAME,
    SESSION_COOKIE_SECURE=True,
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    FUNGIBLE_SESSIONS={"deadline": "5s"} if "away" not in sys.argv else {"on_outage": f"{__name__}.away_page"},
)
django.setup()

from django.contrib import auth, messages  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402

from fungible_kit.sessions.django import SessionStore, sessions  # noqa: E402
from fungible_kit.sessions.identity import key_of  # noqa: E402

here, go = threading.Event(), threading.Event()


def set_value(request: HttpRequest, name: str, value: str) -> HttpResponse:
    request.session[name] = value
    return HttpResponse("set")


def count(request: HttpRequest, name: str) -> HttpResponse:
    request.session[name] = request.session.get(name, 0) + 1
    return HttpResponse(str(request.session[name]))


def show(request: HttpRequest) -> HttpResponse:
    return HttpResponse(repr(dict(sorted(request.session.items()))))


def nested(request: HttpRequest) -> HttpResponse:
    request.session.setdefault("cart", []).append(1)
    request.session.modified = True
    return HttpResponse("ok")


def login(request: HttpRequest, name: str) -> HttpResponse:
    user, _ = auth.get_user_model().objects.get_or_create(username=name)
    auth.login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse(str(user.pk))


def logout(request: HttpRequest) -> HttpResponse:
    auth.logout(request)
    return HttpResponse("out")


def who(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username())


def say(request: HttpRequest) -> HttpResponse:
    messages.success(request, "saved")
    return HttpResponse("said")


def said(request: HttpRequest) -> HttpResponse:
    return HttpResponse("|".join(str(message) for message in messages.get_messages(request)))


def slow(request: HttpRequest) -> HttpResponse:
    before = request.session.get("a")
    here.set()
    assert go.wait(30)
    request.session["late"] = 1
    return HttpResponse(f"slow {before}")


def nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse("nothing")


async def avalue(request: HttpRequest) -> HttpResponse:
    await request.session.aset("async", 1)
    return HttpResponse(str(await request.session.aget("async")))


urlpatterns = [
    path("set/<name>/<value>", set_value),
    path("count/<name>", count),
    path("show", show),
    path("nested", nested),
    path("login/<name>", login),
    path("logout", logout),
    path("who", who),
    path("say", say),
    path("said", said),
    path("slow", slow),
    path("nothing", nothing),
    path("avalue", avalue),
]


def text(client: Client, url: str) -> str:
    answer = client.get(url, secure=True)
    assert answer.status_code == 200, (url, answer.status_code)
    return str(answer.content.decode())


def values() -> None:
    client = Client()
    assert text(client, "/show") == "{}" and NAME not in client.cookies
    text(client, "/set/a/1")
    key = client.cookies[NAME].value
    assert len(key) == 43 and text(client, "/show") == "{'a': '1'}"
    assert text(client, "/count/n") == "1" and text(client, "/count/n") == "2"
    assert client.cookies[NAME].value == key
    assert SessionStore(key)["n"] == 2 and not SessionStore().exists("A" * 43)


def nested_() -> None:
    client = Client()
    text(client, "/nested")
    text(client, "/nested")
    assert text(client, "/show") == "{'cart': [1, 1]}"


def login_() -> None:
    client = Client()
    text(client, "/set/a/1")
    before = client.cookies[NAME].value
    text(client, "/login/ann")
    after = client.cookies[NAME].value
    assert before != after and text(client, "/who") == "ann" and "'a': '1'" in text(client, "/show")
    assert not SessionStore().exists(before) and SessionStore().exists(after)
    text(client, "/logout")
    assert not SessionStore().exists(after) and text(client, "/who") == ""
    assert client.cookies[NAME].value == ""


def messages_() -> None:
    client = Client()
    text(client, "/say")
    assert text(client, "/said") == "saved" and text(client, "/said") == ""


def expiry() -> None:
    store = SessionStore()
    store["a"] = 1
    store.set_expiry(300)
    store.save()
    record = sessions()._sync_store().read(key_of(store.session_key))
    assert record is not None and record.idle_at - record.touched == 300
    assert record.absolute - record.created == 30 * 86400
    store.set_expiry(-1)
    store.save()
    assert not SessionStore().exists(store.session_key)


def parallel() -> None:
    client = Client()
    text(client, "/set/a/1")
    key = client.cookies[NAME].value
    one, two = SessionStore(key), SessionStore(key)
    assert one["a"] == two["a"] == "1"
    one["b"], two["c"] = 1, 1
    del two["a"]
    one.save()
    two.save()
    assert dict(SessionStore(key).items()) == {"b": 1, "c": 1}


def asynchronous() -> None:
    async def talk() -> None:
        store = SessionStore()
        await store.aset("a", 1)
        await store.asave()
        key = store.session_key
        await store.acycle_key()
        assert store.session_key != key and not await store.aexists(key)
        assert await SessionStore(store.session_key).aget("a") == 1
        await store.aflush()
        assert store.session_key is None

    asyncio.run(talk())
    assert text(Client(), "/avalue") == "1"


def ended_meanwhile() -> None:
    client = Client()
    text(client, "/set/a/1")
    key = client.cookies[NAME].value
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(_with(key).get("/slow", secure=True)))
    thread.start()
    assert here.wait(30)
    text(client, "/logout")
    go.set()
    thread.join(30)
    assert answers[0].status_code == 200 and answers[0].content == b"slow 1" and NAME not in answers[0].cookies
    assert not SessionStore().exists(key)
    assert sessions().events["session.ended_write"] == 1


def _with(key: str) -> Client:
    client = Client()
    client.cookies[NAME] = key
    return client


def unknown_id_keeps_its_cookie() -> None:
    for planted in ("A" * 43, "short", "x" * 3000):
        answer = _with(planted).get("/show", secure=True)
        assert answer.content == b"{}" and NAME not in answer.cookies
        answer = _with(planted).get("/set/a/1", secure=True)
        assert answer.cookies[NAME].value != planted and not SessionStore().exists(planted)


def touch() -> None:
    from dataclasses import replace

    client = Client()
    text(client, "/set/a/1")
    key = key_of(client.cookies[NAME].value)
    store = sessions()._sync_store()
    record = store.read(key)
    assert record is not None
    store.delete(key)
    week = 7 * 86400
    store.create(key, replace(record, touched=record.touched - week, idle_at=record.idle_at - week))
    assert client.get("/nothing", secure=True).status_code == 200
    assert store.read(key).touched == record.touched - week  # type: ignore[union-attr]
    text(client, "/show")
    after = store.read(key)
    assert after is not None and after.touched >= record.touched and after.idle_at >= record.idle_at


def revoke() -> None:
    clients = [Client() for _ in range(3)]
    name = f"u{os.urandom(4).hex()}"
    pk, *_ = [text(client, f"/login/{name}") for client in clients]
    assert len(sessions().of(pk)) == 3
    assert sessions().revoke(pk) == 3
    assert [text(client, "/who") for client in clients] == ["", "", ""]


def commands() -> None:
    import valkey

    between = valkey.Valkey.from_url(os.environ["FUNGIBLE_SESSION_URL"])
    client = Client()
    for url in ("/nothing", "/show", "/set/a/1", "/nothing", "/show", "/count/n"):
        text(client, url)
        between.incr("fungible-test-step")


def away_page(outage: Any) -> str | None:
    return f"<h1>{outage.path} in {outage.retry_after} s</h1>" if outage.wants_html else None


def misspelt() -> None:
    for option, says in (("absolut", "'absolut'; did you mean 'absolute'?"), ("x", "'x'; there are store, cookie")):
        sessions.cache_clear()
        settings.FUNGIBLE_SESSIONS = {option: "30d"}
        try:
            sessions()
        except ValueError as error:
            assert f"the setting FUNGIBLE_SESSIONS has an unknown option {says}" in str(error), error
        else:
            raise AssertionError(option)


def away() -> None:
    answer = _with("A" * 43).get("/show", secure=True, headers={"accept": "text/html"})
    assert answer.status_code == 503 and answer.content == b"<h1>/show in 1 s</h1>", answer.content
    assert answer["Retry-After"] == "1" and answer["Content-Type"] == "text/html; charset=utf-8"
    for url, status in (("/show", 503), ("/count/a", 503), ("/who", 503), ("/nothing", 200)):
        answer = _with("A" * 43).get(url, secure=True)
        assert answer.status_code == status and NAME not in answer.cookies, (url, answer.status_code)
    answer = Client().get("/set/a/1", secure=True)
    assert answer.status_code == 503 and answer["Retry-After"] == "1" and NAME not in answer.cookies


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    known: dict[str, Callable[[], None]] = {**globals(), "nested": nested_, "login": login_, "messages": messages_}
    for case in sys.argv[1:]:
        known[case]()
        print(f"{case} ok")

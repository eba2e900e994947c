"""Django under both interfaces, and what an import costs an app: each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

KIT = Path(__file__).parents[3] / "kit" / "src"

DJANGO = """
import asyncio, django, io
from django.conf import settings
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", DATABASES={}, USE_TZ=True)
django.setup()
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.test.client import AsyncRequestFactory, RequestFactory
from django.urls import path
from fungible_kit import Transactions, scratch, transaction_cache

calls, leaks = [], []

@transaction_cache
def rate(code):
    calls.append(code)
    return len(calls)

def sync(request):
    return HttpResponse(f"{rate('EUR')} {rate('EUR')}")

async def awaited(request):
    first = rate("EUR")
    return HttpResponse(f"{first} {await asyncio.to_thread(rate, 'EUR')}")

def stream(request):
    tmp = scratch().for_transaction()
    (tmp / "a").write_text("a")
    return StreamingHttpResponse((tmp / "a").read_text() for _ in range(3))

def leak(request):
    scratch().__enter__()
    return HttpResponse("ok")

urlpatterns = [path("sync", sync), path("awaited", awaited), path("stream", stream), path("leak", leak)]
transactions = Transactions(on_leak=leaks.append)
wsgi, asgi = transactions.wsgi(get_wsgi_application()), transactions.asgi(get_asgi_application())

def by_wsgi(url):
    body = wsgi(RequestFactory().get(url).environ, lambda *_: None)
    text = b"".join(body).decode()
    body.close()
    return text

async def by_asgi(url):
    parts, sent = [], iter([{"type": "http.request"}])
    async def receive():
        return next(sent, None) or await asyncio.Event().wait()
    async def send(message):
        parts.append(message.get("body", b""))
    scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": url, "query_string": b"", "headers": []}
    await asgi(scope, receive, send)
    return b"".join(parts).decode()

for name in ("/sync", "/awaited", "/stream", "/leak"):
    print(name, by_wsgi(name), asyncio.run(by_asgi(name)), sep="|")
print(len(leaks))
"""


def test_django_under_both_interfaces(base: Path) -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", DJANGO], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["/sync|1 1|2 2", "/awaited|3 3|4 4", "/stream|aaa|aaa", "/leak|ok|ok", "2"]
    assert list(base.iterdir()) == []


def test_an_import_brings_in_the_standard_library_alone() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(KIT)!r})\n"
        "import fungible_kit\n"
        "print(sorted(name for name in sys.modules if name.startswith('fungible_kit.')))\n"
        "from fungible_kit import Transactions, scratch, transaction, transaction_cache\n"
        "assert callable(scratch)\n"
        "print({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'__main__'})\n"
    )
    # -S: without the packages that are installed here
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["[]", "{'fungible_kit'}"], done.stderr

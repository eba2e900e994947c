"""Each rule over code finds what it says is wrong, and not what it says is right; levels say how sure it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fungible.app.mend import CLASSES
from fungible.check.finding import Level, Rule
from fungible.check.python import rules
from tests.check.python_source import FLASK, found, found_in, rules_of
from tests.verify.leaks import boots, caches, files, memory, places
from tests.verify.leaks.leak import Leak

pytestmark = pytest.mark.pure

# A thread that a request starts to write to a store later: many do, and only a process that ends loses something.
UNREADABLE = {"promise"}
LEAKS = [leak for part in (boots, caches, files, memory, places) for leak in part.ALL]


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.id)
def test_a_rule_finds_its_wrong_example_and_not_its_right_one(rule: Rule) -> None:
    assert rule.id in rules_of(found(FLASK, rule.wrong))
    assert found(FLASK, rule.right) == []
    assert rule.topic in CLASSES


def test_ids_are_unique() -> None:
    assert len({rule.id for rule in rules.RULES}) == len(rules.RULES)


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.name)
def test_the_leaks_that_verify_proves_are_read_in_their_source(leak: Leak) -> None:
    web = "import http.server\n"
    findings = found_in({leak.name: leak.source, "web": web})
    assert bool(findings) == (leak.name not in UNREADABLE), findings
    assert found_in({leak.name: leak.twin, "web": web}) == []


class TestMemory:
    def test_what_is_written_in_one_view_and_read_in_another_is_certain(self) -> None:
        (one,) = found(
            FLASK,
            """
            CARTS = {}

            @app.post("/cart")
            def add():
                CARTS.setdefault(request.form["user"], []).append(request.form["item"])

            @app.get("/cart/<user>")
            def show(user):
                return CARTS.get(user, [])
            """,
        )
        assert (one.rule, one.level, one.path, one.symbol) == ("FU101", Level.CERTAIN, "shop.py", "shop.CARTS")
        assert one.line == 13
        assert one.message == "`CARTS` is changed in `add`; it is made at shop.py:9"

    def test_what_runs_when_the_module_is_loaded_or_in_a_command_is_none(self) -> None:
        assert not found(
            FLASK,
            """
            PLUGINS = {}

            def register(name, plugin):
                PLUGINS[name] = plugin

            register("csv", object())

            @app.cli.command("load")
            def load():
                PLUGINS["late"] = 1

            @app.get("/")
            def index():
                return sorted(PLUGINS)
            """,
        )

    def test_a_write_is_followed_through_calls_modules_and_names(self) -> None:
        findings = found(
            shop__store="""
            KEPT = {}
            def keep(key, value):
                KEPT[key] = value
            def read(key):
                return KEPT[key]
            """,
            shop__api="from shop.store import keep as _keep\n\ndef save(value):\n    _keep('k', value)\n",
            shop__views="""
            from flask import Blueprint
            from . import api, store
            parts = Blueprint("parts", __name__)

            @parts.post("/x")
            def put():
                api.save(1)

            @parts.get("/x")
            def get():
                return store.read("k")
            """,
        )
        assert [(each.rule, each.path, each.line) for each in findings] == [("FU101", "shop/store.py", 4)]
        assert "which `put` reaches while it serves a request" in findings[0].message

    def test_an_object_of_the_module_is_as_lasting_as_the_module(self) -> None:
        text = """
        class Store:
            def __init__(self):
                self.items = {{}}

            def put(self, key):
                self.items[key] = 1

            def all(self):
                return list(self.items)

        {made}

        @app.post("/<key>")
        def add(key):
            {use}.put(key)
            return {use}.all()
        """
        assert rules_of(found(FLASK, text.format(made="store = Store()", use="store"))) == {"FU101"}
        assert not found(FLASK, text.format(made="", use="Store()"))

    def test_a_variable_of_an_app_factory_lasts_one_of_a_view_does_not(self) -> None:
        assert rules_of(
            found(
                """
                from flask import Flask

                def create_app():
                    app = Flask(__name__)
                    seen = set()

                    @app.get("/<name>")
                    def view(name):
                        seen.add(name)
                        return str(len(seen))

                    return app
                """
            )
        ) == {"FU101"}
        assert not found(
            FLASK,
            """
            @app.get("/")
            def view():
                seen = set()

                def note(name):
                    seen.add(name)

                note("a")
                return str(len(seen))
            """,
        )

    @pytest.mark.parametrize(
        "body",
        [
            "if key not in KEPT:\n        KEPT[key] = render(key)\n    return KEPT[key]",
            "value = KEPT.get(key)\n    if value is None:\n        value = KEPT[key] = render(key)\n    return value",
            "try:\n        return KEPT[key]\n    except KeyError:\n        KEPT[key] = render(key)\n    return None",
        ],
    )
    def test_what_a_call_gave_for_its_arguments_is_only_possible(self, body: str) -> None:
        text = f'{FLASK}KEPT = {{}}\n\n@app.get("/<key>")\ndef view(key):\n    {body}\n'
        assert not found(text)
        assert [each.level for each in found(text, level=Level.POSSIBLE)] == [Level.POSSIBLE]

    def test_a_client_that_is_made_when_it_is_first_needed_is_only_possible(self) -> None:
        text = """
        client = None

        def connected():
            global client
            if client is None:
                client = connect(os.environ["URL"])
            return client

        @app.get("/")
        def view():
            return connected().get("x")
        """
        assert not found(FLASK, text)
        assert rules_of(found(FLASK, text, level=Level.POSSIBLE)) == {"FU102"}

    def test_how_many_are_under_way_is_only_possible(self) -> None:
        text = """
        class Gauge:
            def __init__(self):
                self.active = 0

            def run(self):
                self.active += 1
                try:
                    return self.active
                finally:
                    self.active {down}

        gauge = Gauge()

        @app.get("/")
        def view():
            return str(gauge.run())
        """
        assert not found(FLASK, text.format(down="-= 1"))
        assert rules_of(found(FLASK, text.format(down="+= 1"))) == {"FU107"}

    def test_a_response_that_is_an_application_of_its_own_does_not_last(self) -> None:
        assert not found(
            """
            from starlette.responses import Response

            class Counted(Response):
                async def __call__(self, scope, receive, send):
                    self.sent = {}
                    self.sent["n"] = 1
                    return self.sent
            """
        )

    def test_what_belongs_to_a_request_is_none(self) -> None:
        assert not found(
            FLASK,
            """
            import threading
            from contextvars import ContextVar
            from flask import g
            here, current = threading.local(), ContextVar("current")

            @app.get("/")
            def view():
                here.user = 1
                current.set(2)
                g.user = 3
                session["user"] = 4
                request.seen = 5
                items = []
                items.append(6)
                return items
            """,
        )


class TestViews:
    @pytest.mark.parametrize(
        "text",
        [
            "from fastapi import APIRouter\nrouter = APIRouter()\n@router.get('')\ndef view(): keep()",
            "from django.urls import path\ndef view(request): keep()\nurlpatterns = [path('', view)]",
            "from django.views import View\nclass Page(View):\n    def get(self, request): keep()",
            "from rest_framework.views import APIView\nclass Base(APIView): pass\nclass Page(Base):\n"
            "    def post(self, request): keep()",
            "def application(environ, start_response): keep()",
            "async def application(scope, receive, send): keep()",
            "from http.server import BaseHTTPRequestHandler\nclass H(BaseHTTPRequestHandler):\n"
            "    def do_GET(self): keep()",
            "from aiohttp import web\nasync def view(request): keep()\n"
            "app = web.Application(); app.router.add_get('/', view)",
            "import falcon\nclass R:\n    def on_get(self, req, resp): resp.media = keep()\n"
            "app = falcon.App(); app.add_route('/', R())",
            "from starlette.routing import Route\nasync def view(r): keep()\nroutes = [Route('/', view)]",
            "from litestar import get\n@get('/')\nasync def view() -> list: keep()",
            "import tornado.web\nclass H(tornado.web.RequestHandler):\n    def get(self): self.write(keep())",
            "from fastapi import Depends, FastAPI\napp = FastAPI()\ndef seen(): return keep()\n"
            "@app.get('/')\ndef view(all=Depends(seen)): return all",
        ],
        ids=[
            "fastapi",
            "django",
            "class-based",
            "inherited",
            "wsgi",
            "asgi",
            "http.server",
            "aiohttp",
            "falcon",
            "starlette",
            "litestar",
            "tornado",
            "depends",
        ],
    )
    def test_a_view_of_any_framework_is_known(self, text: str) -> None:
        before = "SEEN = []\ndef keep():\n    SEEN.append(1)\n    return SEEN\n"
        assert rules_of(found(f"{before}{text}\n")) == {"FU101"}

    def test_what_only_looks_like_one_is_none(self) -> None:
        assert not found(
            """
            import pytest
            SEEN = []

            @pytest.fixture
            def item(request):
                SEEN.append(1)
                return SEEN

            class Adapter:
                def send(self, request):
                    SEEN.append(request)
                    return SEEN
            """
        )


class TestCoherence:
    def test_a_copy_that_is_checked_against_a_version_is_only_possible(self) -> None:
        text = """
        KEPT = {}

        @app.get("/<key>")
        def view(key):
            version = db.execute("SELECT version FROM page WHERE id = ?", (key,)).fetchone()[0]
            if KEPT.get(key, (None,))[0] != version:
                KEPT[key] = (version, render(db.execute("SELECT text FROM page WHERE id = ?", (key,)).fetchone()))
            return KEPT[key][1]
        """
        assert not found(FLASK, text)

    def test_a_copy_of_a_row_that_is_not_checked_is_likely(self) -> None:
        text = """
        KEPT = {}

        @app.get("/<key>")
        def view(key):
            if key not in KEPT:
                KEPT[key] = load(db.execute("SELECT text FROM page WHERE id = ?", (key,)).fetchone())
            return KEPT[key]
        """
        assert rules_of(found(FLASK, text)) == {"FU105"}


class TestFiles:
    @pytest.mark.parametrize(
        ("path", "level"),
        [
            ('"uploads/x.bin"', Level.LIKELY),
            ('os.path.join(FOLDER, "x.bin")', Level.LIKELY),
            ('"/tmp/x.bin"', Level.LIKELY),
            ('os.path.join(os.environ["STORE"], "x.bin")', Level.POSSIBLE),
            ("os.path.join(STORE, name)", Level.POSSIBLE),
            ("tempfile.mktemp()", None),
        ],
    )
    def test_where_a_path_comes_from_says_how_sure_it_is(self, path: str, level: Level | None) -> None:
        findings = found(
            FLASK,
            f"""
            FOLDER = "uploads"
            STORE = os.environ["STORE"]

            @app.post("/<name>")
            def upload(name):
                with open({path}, "wb") as file:
                    file.write(request.data)
            """,
            level=Level.POSSIBLE,
        )
        assert [each.level for each in findings] == ([level] if level else [])

    def test_reading_is_no_writing(self) -> None:
        assert not found(
            FLASK, '@app.get("/")\ndef view():\n    return open("page.html").read()\n', level=Level.POSSIBLE
        )


class TestSecrets:
    @pytest.mark.parametrize(
        ("value", "level"),
        [
            ("secrets.token_hex(32)", Level.CERTAIN),
            ("os.urandom(24)", Level.CERTAIN),
            ('os.environ.get("SECRET_KEY") or secrets.token_hex(32)', Level.LIKELY),
            ('os.environ.get("SECRET_KEY", secrets.token_hex(32))', Level.LIKELY),
            ('os.environ["SECRET_KEY"]', None),
            ('"written down"', None),
        ],
    )
    def test_a_secret_of_the_process_is_told(self, value: str, level: Level | None) -> None:
        for target in ("SECRET_KEY", "app.secret_key", 'app.config["SECRET_KEY"]'):
            findings = found(FLASK, f"{target} = {value}\n")
            assert [each.level for each in findings] == ([level] if level else []), target

    def test_a_token_that_a_view_makes_is_none(self) -> None:
        assert not found(
            FLASK, '@app.get("/")\ndef view():\n    csrf_token = secrets.token_hex()\n    return csrf_token\n'
        )


@given(
    st.text(max_size=300), st.sampled_from(["", "def view(request):\n    ", "class A:\n    x = [", "@app.get('/')\n"])
)
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_told(text: str, before: str) -> None:
    found(f"import flask\n{before}{text}")


def test_deep_and_long_code_is_read_in_a_time_that_grows_with_it() -> None:
    branches = "".join(f"    elif key == {n}:\n        open('x{n}', 'w')\n" for n in range(900))
    assert len(found(FLASK, f"@app.get('/')\ndef view(key):\n    if key:\n        pass\n{branches}")) == 900
    terms = " + ".join(["'a'"] * 2500)
    assert rules_of(found(FLASK, f"@app.get('/')\ndef view():\n    return str(hash({terms}))\n")) == {"FU114"}
    assert found(FLASK, f"x = {'(' * 300}{')' * 300}\n") == []

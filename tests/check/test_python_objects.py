"""Objects that outlive a request are known by what holds them: what they keep is found, what it makes is not."""

from __future__ import annotations

import textwrap

import pytest

from fungible.check.finding import Level
from tests.check.python_source import FLASK, found, rules_of

pytestmark = pytest.mark.pure

SHELF = """
class Shelf:
    def __init__(self):
        self.items = []

    def put(self, item):
        self.items.append(item)

    def all(self):
        return self.items

class Shop:
    def __init__(self, shelf=None):
        self.shelves = {"first": Shelf()}
        self.shelf = shelf

"""


def view(holder: str, before: str = "") -> str:
    """A program that puts something on a shelf in one view and reads it in another."""
    views = f"""
    @app.post("/put")
    def put():
        shelf = {holder}
        shelf.put(request.form["item"])
        return "ok"

    @app.get("/all")
    def show():
        return {holder}.all()
    """
    return FLASK + SHELF + textwrap.dedent(before) + "\n" + textwrap.dedent(views)


class TestHeld:
    @pytest.mark.parametrize(
        ("holder", "before"),
        [
            ("shelf", "shelf = Shelf()"),
            ('shop.shelves["first"]', "shop = Shop()"),
            ("shop.shelf", "shop = Shop(Shelf())"),
            ("shop.shelf", "shop = Shop(shelf=Shelf())"),
            ('SHELVES.get("a")', 'SHELVES = {"a": Shelf()}'),
            ("shelves[0]", "shelves = [Shelf() for _ in range(3)]"),
            ("shelf", "def make():\n    return Shelf()\nshelf = make()"),
            ("shelf", "shelf: Shelf = None\ndef begin(app):\n    global shelf\n    shelf = Shelf()\nbegin(app)"),
            ("shelf_of()", "shelf = Shelf()\ndef shelf_of():\n    return shelf"),
            ("shelf_of()", "@lru_cache\ndef shelf_of():\n    return Shelf()"),
            (
                "shelf_of()",
                "kept = None\ndef shelf_of():\n    global kept\n    if kept is None:\n        kept = Shelf()\n"
                "    return kept",
            ),
            ("app.shelf", "app.shelf = Shelf()"),
            ('app.extensions["shelf"]', 'app.extensions["shelf"] = Shelf()'),
            ('request.app["shelf"]', 'def begin(app):\n    app["shelf"] = Shelf()'),
            ("request.app.state.shelf", "def begin(app):\n    app.state.shelf = Shelf()"),
            ("request.registry.shelf", "def includeme(config):\n    config.registry.shelf = Shelf()"),
            (
                "Single()",
                "class Single(Shelf):\n    kept = None\n    def __new__(cls):\n        if cls.kept is None:\n"
                "            cls.kept = super().__new__(cls)\n        return cls.kept\n",
            ),
            ("Derived.shelf", "class Derived:\n    shelf = Shelf()"),
            (
                "holder.shelf",
                "class Holder:\n    shelf: Shelf\n    def __init__(self):\n        self.shelf = Shelf()\n"
                "holder = Holder()",
            ),
            (
                "deep.shop.shelves['first']",
                "class Deep:\n    def __init__(self):\n        self.shop = Shop()\ndeep = Deep()",
            ),
            (
                "deep.shelf",
                "class Deep:\n    @property\n    def shelf(self):\n        return self._shelf\n"
                "    def __init__(self):\n        self._shelf = Shelf()\ndeep = Deep()",
            ),
        ],
    )
    def test_what_lasts_is_followed_to_what_it_holds(self, holder: str, before: str) -> None:
        (one,) = found(view(holder, before))
        assert (one.rule, one.symbol) == ("FU101", "shop.Shelf()")
        assert "`Shelf().items` is changed in `put`" in one.message

    @pytest.mark.parametrize(
        ("holder", "before"),
        [
            ("Shelf()", ""),
            ('Shop().shelves["first"]', ""),
            ("Shop(Shelf()).shelf", ""),
            ("make()", "def make():\n    return Shelf()"),
            ("make().shelf", "def make():\n    return Shop(shelf=Shelf())"),
            ("unknown(request)", "def spare():\n    return Shelf()"),
            ("request.state.shelf", "@app.before_request\ndef begin():\n    request.state.shelf = Shelf()"),
            ("g.shelf", "from flask import g\n@app.before_request\ndef begin():\n    g.shelf = Shelf()"),
        ],
    )
    def test_what_a_request_makes_is_none(self, holder: str, before: str) -> None:
        assert not found(view(holder, before))

    def test_a_base_keeps_what_its_lasting_class_has(self) -> None:
        text = """
        class Base:
            def __init__(self):
                self.rows = {{}}

            def put(self, key):
                self.rows[key] = 1
                return len(self.rows)

        class Store(Base):
            pass

        {made}

        @app.post("/<key>")
        def add(key):
            return {use}.put(key)
        """
        assert rules_of(found(FLASK, text.format(made="store = Store()", use="store"))) == {"FU101"}
        assert not found(FLASK, text.format(made="", use="Store()"))

    def test_an_attribute_of_a_lasting_object_that_a_local_name_stands_for(self) -> None:
        text = """
        class Board:
            def __init__(self):
                self.scores = {{}}

        board = Board()

        def board_of(name):
            return {given}

        @app.post("/<name>")
        def score(name):
            mine = board_of(name)
            mine.scores[name] = 1
            return mine.scores
        """
        assert rules_of(found(FLASK, text.format(given="board"))) == {"FU101"}
        assert not found(FLASK, text.replace("board = Board()", "").format(given="Board()"))

    def test_what_adds_to_itself_is_more_than_a_value_of_the_request(self) -> None:
        text = """
        class Log:
            def __init__(self):
                self.lines = ()

            def write(self, line):
                self.lines = {value}
                return self.lines

        log = Log()

        @app.post("/<line>")
        def write(line):
            return log.write(line)
        """
        assert rules_of(found(FLASK, text.format(value="(*self.lines, line)"))) == {"FU101"}
        assert not found(FLASK, text.format(value="(line,)"))

    def test_a_memo_of_a_lasting_object_is_only_possible(self) -> None:
        text = """
        class Pages:
            def __init__(self):
                self.kept = {}

            def page(self, name):
                if name not in self.kept:
                    self.kept[name] = render(name)
                return self.kept[name]

        class Site:
            def __init__(self):
                self.pages = Pages()

        site = Site()

        @app.get("/<name>")
        def show(name):
            return site.pages.page(name)
        """
        assert not found(FLASK, text)
        assert [each.level for each in found(FLASK, text, level=Level.POSSIBLE)] == [Level.POSSIBLE]


class TestChosen:
    STORES = """
    class Store:
        def put(self, key, value):
            raise NotImplementedError

    class MemoryStore(Store):
        def __init__(self):
            self.rows = {}

        def put(self, key, value):
            self.rows[key] = value
            return len(self.rows)

    class SqlStore(Store):
        def __init__(self, db):
            self.db = db

        def put(self, key, value):
            self.db.execute("INSERT INTO rows VALUES (?, ?)", (key, value))
    """

    def test_one_of_several_that_a_setting_says_is_likely(self) -> None:
        findings = found(
            FLASK,
            self.STORES,
            """
            def make(url):
                if url:
                    return SqlStore(connect(url))
                return MemoryStore()

            store: Store = make(os.environ.get("URL"))

            @app.post("/<key>")
            def add(key):
                return store.put(key, 1)
            """,
        )
        assert [(each.rule, each.level) for each in findings] == [("FU101", Level.LIKELY)]

    def test_a_backend_that_is_looked_up_by_text_is_likely(self) -> None:
        text = """
        from stores import memory, sql

        def setup(config):
            module = config.maybe_dotted(config.settings["backend"])
            backend = module.load_from_config(config)
            config.registry.store = backend

        @app.post("/<key>")
        def add(key):
            store = request.registry.store
            return store.put(key, 1)
        """
        stores = textwrap.dedent(self.STORES)
        memory = f"{stores}\ndef load_from_config(config):\n    return MemoryStore()\n"
        sql = f"{stores}\ndef load_from_config(config):\n    return SqlStore(config.db)\n"
        findings = found(FLASK, text, stores__memory=memory, stores__sql=sql)
        assert [(each.path, each.level) for each in findings] == [("stores/memory.py", Level.LIKELY)]


class TestHarmless:
    """What a lasting object notes and no later request meets."""

    def program(self, body: str, more: str = "", call: str = "gate.run(name)", name: str = "Gate") -> str:
        head = f"""
        import threading

        class {name}:
            def __init__(self):
                self.kept = {{}}
                self._lock = threading.Lock()
                self.begin()

            def begin(self):
                self.kept["begun"] = 1
        """
        tail = f"""
        gate = {name}()

        @app.get("/<name>")
        def view(name):
            return str({call})
        """
        inner = textwrap.indent(textwrap.dedent(body), "    ")
        return "\n".join((textwrap.dedent(head), inner, textwrap.dedent(more), textwrap.dedent(tail)))

    READ = "\ndef all(self):\n    return list(self.kept)\n"

    def test_what_only_the_making_of_an_object_does_is_none(self) -> None:
        assert not found(FLASK, self.program(self.READ, call="gate.all()"))
        assert not found(FLASK, self.program(self.READ, call="Gate().all()"))
        begun = found(FLASK, self.program(self.READ, call="[gate.begin(), gate.all()]"))
        assert rules_of(begun) == {"FU101"}

    def test_what_a_finally_takes_out_is_only_possible(self) -> None:
        body = """
        def run(self, name):
            self.enter(name)
            try:
                return len(self.kept)
            finally:
                self.leave(name)

        def enter(self, name):
            self.kept[name] = 1

        def leave(self, name):
            del self.kept[name]
        """
        assert not found(FLASK, self.program(body))
        assert rules_of(found(FLASK, self.program(body.replace("self.leave(name)", "pass")))) == {"FU101"}

    def test_what_another_request_looks_up_is_certain_though_a_finally_takes_it_out(self) -> None:
        body = """
        def run(self, name):
            self.kept[name] = 1
            try:
                return wait()
            finally:
                self.kept.pop(name)

        def post(self, name):
            return self.kept.get(name)
        """
        assert rules_of(found(FLASK, self.program(body, call="[gate.run(name), gate.post(name)]"))) == {"FU101"}

    def test_a_flag_that_a_finally_takes_back_is_only_possible(self) -> None:
        body = """
        def run(self, name):
            self.kept[name] = True
            try:
                return wait()
            finally:
                self.kept[name] = {after}

        def is_busy(self, name):
            return self.kept.get(name)
        """
        call = "[gate.run(name), gate.is_busy(name)]"
        assert not found(FLASK, self.program(body.format(after="False"), call=call))
        assert rules_of(found(FLASK, self.program(body.format(after="True"), call=call))) == {"FU101"}

    def test_a_lock_of_the_apps_own_making_is_none(self) -> None:
        body = """
        def run(self, name):
            return self.{verb}(name)

        def {verb}(self, name):
            self.kept[name] = request.form["x"]
            return self.kept[name]

        def release(self, name):
            del self.kept[name]
        """
        assert not found(FLASK, self.program(body.format(verb="acquire")))
        assert rules_of(found(FLASK, self.program(body.format(verb="book")))) == {"FU101"}

    def test_a_pool_of_connections_is_only_possible(self) -> None:
        body = "def run(self, name):\n    self.kept[name] = 1\n    return len(self.kept)\n"
        assert not found(FLASK, self.program(body, name="ConnectionPool"))
        assert rules_of(found(FLASK, self.program(body))) == {"FU101"}

    def test_a_list_that_is_put_together_for_its_key_is_a_memo(self) -> None:
        text = """
        class Files:
            def __init__(self):
                self.kept = {{}}

            def of(self, name):
                found = self.kept.get(name, EMPTY)
                if {seen}:
                    return found
                {fresh}
                for each in ENDINGS:
                    found.append(name + each)
                self.kept[name] = found
                return found

        files = Files()

        @app.get("/<name>")
        def view(name):
            return str(files.of(name))
        """
        assert not found(FLASK, text.format(fresh="found = []", seen="found is not EMPTY"))
        assert rules_of(found(FLASK, text.format(fresh="", seen="len(found) > 9"))) == {"FU101"}

    def test_a_queue_that_a_thread_of_its_own_empties_is_only_possible(self) -> None:
        text = """
        import queue

        class Exporter:
            def __init__(self):
                self.waiting = queue.Queue()
                Thread(target=self.work).start()

            def work(self):
                send(self.waiting.get())

            def put(self, item):
                self.waiting.put(item)

            def take(self):
                return self.waiting.get()

        exporter = Exporter()

        @app.post("/<name>")
        def view(name):
            exporter.put(name)
            return {given}
        """
        assert not found(FLASK, text.format(given='"ok"'))
        assert rules_of(found(FLASK, text.format(given="exporter.take()"))) == {"FU112"}

    def test_a_script_beside_the_app_makes_nothing_that_lasts(self) -> None:
        shop = """
        from engine import Engine

        @app.get("/<name>")
        def view(name):
            return Engine(request.args).run(name)
        """
        engine = """
        class Sink:
            def __init__(self):
                self.events = []

            def emit(self, event):
                self.events.append(event)
                return self.events

        class Engine:
            def __init__(self, sink):
                self.sink = sink

            def run(self, name):
                return self.sink.emit(name)
        """
        script = "from engine import Engine, Sink\n{}Engine(SINK).run('a')\n"
        assert not found(FLASK, shop, engine=engine, script=script.format("SINK = Sink()\n"))
        kept = textwrap.dedent(shop).replace("request.args", "SINK")
        kept = kept.replace("import Engine", "import Engine, Sink\nSINK = Sink()")
        assert rules_of(found(FLASK, kept, engine=engine)) == {"FU101"}

    def test_asking_for_a_class_makes_none(self) -> None:
        text = """
        class Plugin:
            known = []
            LIMIT = 5

            def __init__(self):
                Plugin.known.append(self)

        @app.get("/<name>")
        def view(name):
            return str([{use}, Plugin.known])
        """
        assert not found(FLASK, text.format(use="isinstance(name, Plugin)"))
        assert not found(FLASK, text.format(use="Plugin.LIMIT"))
        assert rules_of(found(FLASK, text.format(use="Plugin()"))) == {"FU103"}


class TestServed:
    def test_a_bound_method_that_is_registered_is_a_view(self) -> None:
        text = """
        from aiohttp import web

        class Handler:
            def __init__(self):
                self.seen = []

            async def index(self, call):
                self.seen.append(call.path)
                return web.json_response(self.seen)

        def make():
            app = web.Application()
            handler = Handler()
            app.router.add_get("/", handler.index)
            return app
        """
        assert rules_of(found(text)) == {"FU101"}
        assert not found(text.replace('app.router.add_get("/", handler.index)', "handler.close()"))

    def test_what_tornado_hands_to_its_handlers_lasts(self) -> None:
        text = """
        import tornado.web

        class Jobs:
            def __init__(self):
                self.tasks = {}

            def add(self, name):
                self.tasks[name] = 1
                return len(self.tasks)

        class Handler(tornado.web.RequestHandler):
            def initialize(self, jobs):
                self.jobs = jobs

            def get(self, method):
                self.write(getattr(self.jobs, method)("a"))

        def app(jobs):
            return tornado.web.Application([(r"/(.*)", Handler, {"jobs": jobs})])

        def run():
            jobs = Jobs()
            app(jobs).listen(80)
        """
        assert rules_of(found(text)) == {"FU101"}
        assert not found(text.replace("self.jobs = jobs", "self.jobs = Jobs()"))


class TestClosures:
    COUNTER = """
    def make():
        seen = []

        def note(name):
            seen.append(name)
            return len(seen)

        return {given}

    """

    @pytest.mark.parametrize(
        ("given", "bound", "call"),
        [
            ("note", "note = make()", "note(name)"),
            ("note, 1", "note, other = make()", "note(name)"),
            ("lambda name: note(name)", "NOTE = make()", "NOTE(name)"),
            ('{{"note": note}}', "FUNCTIONS = make()", 'FUNCTIONS["note"](name)'),
        ],
    )
    def test_what_a_function_gave_at_import_keeps_its_variables(self, given: str, bound: str, call: str) -> None:
        before = textwrap.dedent(self.COUNTER).format(given=given).replace("{{", "{").replace("}}", "}")
        after = '{}\n\n@app.get("/<name>")\ndef view(name):\n    return str({})\n'
        assert rules_of(found(FLASK, before, after.format(bound, call))) == {"FU101"}
        inner = after.format("", call).replace("return", f"{bound}\n    return")
        assert not found(FLASK, before, inner)

    def test_a_decorator_that_counts_calls_lasts_with_its_view(self) -> None:
        text = """
        import functools, time

        def limited(most):
            calls = dict()

            def decorate(function):
                @functools.wraps(function)
                def inner(*args, **kwargs):
                    recent = calls.setdefault(request.remote_addr, [])
                    recent.append(time.time())
                    if len(recent) > most:
                        return "too many", 429
                    return function(*args, **kwargs)

                return inner

            return decorate

        {decorator}
        def view():
            return "ok"
        """
        assert rules_of(found(FLASK, text.format(decorator='@app.get("/")\n        @limited(5)'))) == {"FU101"}
        assert not found(FLASK, text.format(decorator="@limited(5)"))

    def test_a_decorator_that_remembers_results_is_only_possible(self) -> None:
        text = """
        def remembered(function):
            kept = {}

            def inner(key):
                if key not in kept:
                    kept[key] = function(key)
                return kept[key]

            return inner

        @app.get("/<key>")
        @remembered
        def view(key):
            return key.upper()
        """
        assert not found(FLASK, text)


class TestThreads:
    FLASK = "from flask import Flask, request\napp = Flask(__name__)\n"

    def program(self, first: str, second: str, before: str = "") -> str:
        text = f"""
        import threading
        from contextvars import ContextVar
        here = threading.local()
        KEPT = ContextVar("kept", default=())
        {{before}}

        @app.post("/first")
        def first():
            {first}
            return "ok"

        @app.get("/second")
        def second():
            {second}
        """
        return textwrap.dedent(text).replace("{before}", textwrap.dedent(before))

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ('here.items = [*getattr(here, "items", []), request.form["x"]]', 'return getattr(here, "items", [])'),
            ('here.items.append(request.form["x"])', "return here.items"),
            ("here.n += 1", "return str(here.n)"),
            ('here.user = request.form["user"]', "return here.user"),
            ('setattr(here, "user", request.form["user"])', 'return getattr(here, "user", None)'),
            ('KEPT.set((*KEPT.get(), request.form["x"]))', "return list(KEPT.get())"),
            ('KEPT.set(request.form["x"])', "return KEPT.get()"),
        ],
    )
    def test_what_one_request_leaves_for_the_next_of_its_thread_is_likely(self, first: str, second: str) -> None:
        findings = found(self.FLASK, self.program(first, second))
        assert [(each.rule, each.level) for each in findings] == [("FU101", Level.LIKELY)]
        assert findings[0].symbol in ("shop.here.items", "shop.here.n", "shop.here.user", "shop.KEPT")

    @pytest.mark.parametrize(
        ("first", "second", "before"),
        [
            # Each request sets it before it reads it.
            ("here.user = 1; return here.user", "here.user = 2; return here.user", ""),
            ("here.user = 1", "return here.user", "@app.before_request\ndef begin():\n    here.user = None\n"),
            ("here.items.append(1)", "return here.items", "@app.before_request\ndef begin():\n    here.items = []\n"),
            (
                "KEPT.set((*KEPT.get(), 1))",
                "return KEPT.get()",
                "@app.before_request\ndef begin():\n    KEPT.set(())\n",
            ),
            ("here.items.append(1)", "return here.items", "@app.teardown_request\ndef end(e):\n    del here.items\n"),
            ("here.items.append(1)", "return here.items", "def end():\n    here.__dict__.clear()\n"),
            # It is taken back.
            ("here.depth += 1\n    here.depth -= 1", "return str(here.depth)", ""),
            ("token = KEPT.set(1)\n    KEPT.reset(token)", "return KEPT.get()", ""),
            # A connection or a memo of the thread.
            ('if not hasattr(here, "db"):\n        here.db = connect()', "return here.db.name", ""),
            (
                'if not hasattr(here, "kept"):\n        here.kept = {}\n'
                '    if "a" not in here.kept:\n        here.kept["a"] = render("a")',
                'return here.kept["a"]',
                "",
            ),
            # Nobody reads it.
            ("here.user = 1", "return 'ok'", ""),
            # Somebody else may set it.
            ("here.user = 1", "return here.user", "begin(here)"),
        ],
    )
    def test_the_usual_use_is_none(self, first: str, second: str, before: str) -> None:
        assert not found(self.FLASK, self.program(first, second, before))

    def test_a_context_of_its_own_for_each_request_keeps_nothing(self) -> None:
        text = self.program("KEPT.set((*KEPT.get(), 1))", "return KEPT.get()", "import uvicorn")
        assert not found(self.FLASK, text)


class TestModules:
    @pytest.mark.parametrize(
        "statement",
        [
            'vars(settings)["THEME"] = request.form["theme"]',
            'settings.__dict__["THEME"] = request.form["theme"]',
            'vars(settings).setdefault("SEEN", {})["a"] = 1',
            'seen = vars(settings).setdefault("SEEN", {})\n    seen["a"] = 1',
            'setattr(settings, "THEME", request.form["theme"])',
        ],
    )
    def test_a_module_is_changed_by_whichever_way(self, statement: str) -> None:
        text = f'import settings\n\n@app.post("/")\ndef change():\n    {statement}\n    return "ok"\n'
        assert rules_of(found(FLASK, text)) == {"FU120"}
        assert not found(FLASK, text.replace("import settings\n", "").replace("settings", "request"))

    def test_what_is_put_there_once_is_only_possible(self) -> None:
        text = """
        import sys

        @app.get("/")
        def view():
            {guard}
                sys.stdout = wrapped(sys.stdout)
            return "ok"
        """
        assert not found(FLASK, text.format(guard="if not isinstance(sys.stdout, Wrapped):"))
        assert rules_of(found(FLASK, text.format(guard="if request.args:"))) == {"FU120"}
        back = "before = sys.stdout\n            try:\n                pass\n            finally:"
        assert not found(FLASK, text.format(guard=back))


class TestRows:
    @pytest.mark.parametrize(
        ("statement", "told"),
        [
            ("db.execute(\"INSERT INTO post VALUES ('a')\")", True),
            ("db.execute(text(\"INSERT INTO post VALUES ('a')\"))", True),
            ("with open_db() as db:\n    db.executemany('insert into post values (?)', ROWS)", True),
            ("db.execute(\"INSERT OR IGNORE INTO post VALUES ('a')\")", False),
            ("db.execute(\"INSERT INTO post VALUES ('a') ON CONFLICT DO NOTHING\")", False),
            (
                'if not db.execute("SELECT 1 FROM post").fetchone():\n    db.execute("INSERT INTO post VALUES (1)")',
                False,
            ),
            ('try:\n    db.execute("INSERT INTO post VALUES (1)")\nexcept IntegrityError:\n    pass', False),
            ('if __name__ == "__main__":\n    db.execute("INSERT INTO post VALUES (1)")', False),
            ('db.execute("DELETE FROM post")\ndb.execute("INSERT INTO post VALUES (1)")', False),
            ('def seed():\n    db.execute("INSERT INTO post VALUES (1)")', False),
        ],
    )
    def test_rows_that_each_start_adds(self, statement: str, told: bool) -> None:
        text = f'{statement}\n\n@app.get("/")\ndef index():\n    return "ok"\n'
        assert rules_of(found(FLASK, text)) == ({"FU122"} if told else set())

    def test_a_script_that_serves_nothing_is_none(self) -> None:
        assert not found(
            FLASK, '@app.get("/")\ndef index():\n    return "ok"\n', seed="db.execute('INSERT INTO a VALUES (1)')\n"
        )


def test_circles_and_long_ways_come_to_an_end() -> None:
    circle = "class A:\n    def put(self, x):\n        self.next = self.next.next\n        return self.next.put(x)\n"
    assert not found(FLASK, f"{circle}a = A()\na.next = a\n@app.get('/')\ndef view():\n    return a.put(1)\n")
    alias = "Json = dict[str, 'Json']\ndef last(value: Json):\n    return value.get('a').put()\n"
    assert not found(FLASK, f"{alias}@app.get('/')\ndef view():\n    return last(request.json)\n")
    calls = "".join(f"def f{n}(x):\n    return f{n + 1}(x)\n" for n in range(400))
    assert not found(FLASK, f"{calls}@app.get('/')\ndef view():\n    return f0(1).put(2)\n")

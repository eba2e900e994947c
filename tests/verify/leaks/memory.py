"""Leaks by what a module holds: sessions, registries, counters, jobs."""

from tests.verify.leaks.leak import Leak, get, post

SESSION = Leak(
    "session",
    """
    import secrets
    LOGINS = {}

    @route("POST", "/session/login")
    def login(call):
        token = secrets.token_hex(16)
        LOGINS[token] = call.json["user"]  # <--
        return 200, {"welcome": call.json["user"]}, {"Set-Cookie": f"sid={token}; Path=/session"}

    @route("GET", "/session/me")
    def me(call):
        user = LOGINS.get(call.cookies.get("sid"))
        return {"user": user} if user else (401, {"error": "log in first"})
    """,
    """
    import secrets

    @route("POST", "/session/login")
    def login(call):
        token = secrets.token_hex(16)
        store().execute("INSERT INTO logins VALUES (?, ?)", (token, call.json["user"]))
        return 200, {"welcome": call.json["user"]}, {"Set-Cookie": f"sid={token}; Path=/session"}

    @route("GET", "/session/me")
    def me(call):
        row = store().execute("SELECT user FROM logins WHERE token = ?", (call.cookies.get("sid"),)).fetchone()
        return {"user": row[0]} if row else (401, {"error": "log in first"})
    """,
    (get("/session/me"), post("/session/login", {"user": "ann"}), get("/session/me")),
    (1, 2),
    r"^session\.LOGINS",
    "CREATE TABLE logins (token TEXT PRIMARY KEY, user TEXT);",
)

PROTOCOL = Leak(
    "protocol",
    """
    import uuid

    class Sessions:
        def __init__(self):
            self.open = {}

        def begin(self, client):
            name = str(uuid.uuid4())
            self.open[name] = client  # <--
            return name

    sessions = Sessions()

    @route("POST", "/protocol/initialize")
    def initialize(call):
        return 200, {"server": "tools"}, {"X-Session-Id": sessions.begin(call.json["client"])}

    @route("POST", "/protocol/call")
    def tool(call):
        if call.headers.get("x_session_id") not in sessions.open:
            return 404, {"error": "session not found"}
        return {"result": call.json["a"] + call.json["b"]}
    """,
    """
    import uuid

    @route("POST", "/protocol/initialize")
    def initialize(call):
        return 200, {"server": "tools"}, {"X-Session-Id": str(uuid.uuid4())}

    @route("POST", "/protocol/call")
    def tool(call):
        return {"result": call.json["a"] + call.json["b"]}
    """,
    (
        post("/protocol/initialize", {"client": "editor"}, save={"session": "header:X-Session-Id"}),
        post("/protocol/call", {"a": 1, "b": 2}, headers={"X-Session-Id": "${session}"}),
    ),
    (0, 1),
    r"^protocol\.sessions\.open",
)

REGISTRY = Leak(
    "registry",
    """
    PLUGINS = []

    @route("POST", "/registry/plugins")
    def register(call):
        PLUGINS.append(call.json["name"])  # <--
        return 201, {"registered": call.json["name"]}

    @route("GET", "/registry/plugins")
    def plugins(call):
        return {"plugins": PLUGINS}
    """,
    """
    @route("POST", "/registry/plugins")
    def register(call):
        store().execute("INSERT INTO plugins VALUES (?)", (call.json["name"],))
        return 201, {"registered": call.json["name"]}

    @route("GET", "/registry/plugins")
    def plugins(call):
        return {"plugins": [name for name, in store().execute("SELECT name FROM plugins ORDER BY rowid")]}
    """,
    (get("/registry/plugins"), post("/registry/plugins", {"name": "speech"}), get("/registry/plugins")),
    (1, 2),
    r"^registry\.PLUGINS",
    "CREATE TABLE plugins (name TEXT);",
)

CALLBACK = Leak(
    "callback",
    """
    country = "all"

    @route("POST", "/callback/filter")
    def choose(call):
        global country
        country = call.json["country"]  # <--
        return {"ok": True}

    @route("GET", "/callback/chart")
    def chart(call):
        return f"<h1>Sales</h1><p>Country: <b>{country}</b></p>"
    """,
    """
    @route("POST", "/callback/filter")
    def choose(call):
        return {"ok": True, "country": call.json["country"]}

    @route("GET", "/callback/chart")
    def chart(call):
        return f"<h1>Sales</h1><p>Country: <b>{call.query.get('country', 'all')}</b></p>"
    """,
    (get("/callback/chart"), post("/callback/filter", {"country": "Peru"}), get("/callback/chart?country=Peru")),
    (1, 2),
    r"^callback\.country$",
)

LIMITER = Leak(
    "limiter",
    """
    HITS = {}

    @route("GET", "/limiter/search")
    def search(call):
        client = call.headers.get("x_client")
        HITS[client] = HITS.get(client, 0) + 1  # <--
        return (429, {"error": "too many requests"}) if HITS[client] > 3 else {"found": 7}
    """,
    """
    @route("GET", "/limiter/search")
    def search(call):
        ((hits,),) = store().execute(
            "INSERT INTO hits VALUES (?, 1) ON CONFLICT (client) DO UPDATE SET hits = hits + 1 RETURNING hits",
            (call.headers.get("x_client"),),
        ).fetchall()
        return (429, {"error": "too many requests"}) if hits > 3 else {"found": 7}
    """,
    tuple(get("/limiter/search", headers={"X-Client": "ann"}) for _ in range(4)),
    (0, 1, 2, 3),
    r"^limiter\.HITS",
    "CREATE TABLE hits (client TEXT PRIMARY KEY, hits INTEGER);",
)

LENT = Leak(
    "lent",
    """
    COUNTS = {}

    def lending():
        attempts = COUNTS["attempts"] = {}
        while True:
            yield attempts

    lent = lending()

    @route("POST", "/lent/attempt")
    def attempt(call):
        attempts = next(lent)
        attempts["bob"] = attempts.get("bob", 0) + 1  # <--
        return {"refused": attempts["bob"] > 1}
    """,
    """
    @route("POST", "/lent/attempt")
    def attempt(call):
        ((made,),) = store().execute("UPDATE attempts SET made = made + 1 RETURNING made").fetchall()
        return {"refused": made > 1}
    """,
    (post("/lent/attempt"), post("/lent/attempt")),
    (0, 1),
    r"^lent\.COUNTS\['attempts'\]",
    "CREATE TABLE attempts (made INTEGER); INSERT INTO attempts VALUES (0);",
    alone=True,
)
"""A counter made by the first who counts, and held where no path leads: it can only be emptied."""

JOBS = Leak(
    "jobs",
    """
    import threading
    import uuid
    JOBS = {}

    def work(name):
        JOBS[name] = "done"  # <--

    @route("POST", "/jobs/start")
    def start(call):
        name = str(uuid.uuid4())
        JOBS[name] = "running"  # <--
        threading.Thread(target=work, args=(name,)).start()
        return 202, {"job": name}

    @route("GET", "/jobs/status")
    def status(call):
        if call.rest not in JOBS:
            return 404, {"error": "no such job"}
        return {"status": JOBS[call.rest]}
    """,
    """
    import uuid

    @route("POST", "/jobs/start")
    def start(call):
        name = str(uuid.uuid4())
        store().execute("INSERT INTO jobs VALUES (?, 'waiting for a worker')", (name,))
        return 202, {"job": name}

    @route("GET", "/jobs/status")
    def status(call):
        row = store().execute("SELECT status FROM jobs WHERE name = ?", (call.rest,)).fetchone()
        return {"status": row[0]} if row else (404, {"error": "no such job"})
    """,
    (
        post("/jobs/start", save={"job": "json:$.job"}),
        get("/jobs/status/${job}", wait=0.2),
    ),
    (0, 1),
    r"^jobs\.JOBS",
    "CREATE TABLE jobs (name TEXT PRIMARY KEY, status TEXT);",
)

BACKGROUND = Leak(
    "background",
    """
    import threading
    STATS = {"indexed": 0}

    def index(count):
        STATS["indexed"] = count  # <--

    @route("POST", "/background/index")
    def begin(call):
        threading.Thread(target=index, args=(call.json["count"],)).start()
        return 202, {"accepted": True}

    @route("GET", "/background/stats")
    def stats(call):
        return STATS
    """,
    """
    @route("POST", "/background/index")
    def begin(call):
        store().execute("UPDATE stats SET indexed = ?", (call.json["count"],))
        return 202, {"accepted": True}

    @route("GET", "/background/stats")
    def stats(call):
        return {"indexed": store().execute("SELECT indexed FROM stats").fetchone()[0]}
    """,
    (post("/background/index", {"count": 31}), get("/background/stats", wait=0.2)),
    (0, 1),
    r"^background\.STATS\['indexed'\]",
    "CREATE TABLE stats (indexed INTEGER); INSERT INTO stats VALUES (0);",
)

OAUTH = Leak(
    "oauth",
    """
    import secrets
    STATES = set()

    @route("GET", "/oauth/login")
    def login(call):
        state = secrets.token_urlsafe(16)
        STATES.add(state)  # <--
        return 302, "", {"Location": f"https://provider.example/authorize?state={state}"}

    @route("GET", "/oauth/callback")
    def callback(call):
        if call.query["state"] not in STATES:
            return 400, {"error": "invalid state"}
        return {"user": "ann"}
    """,
    """
    import secrets

    @route("GET", "/oauth/login")
    def login(call):
        state = secrets.token_urlsafe(16)
        where = {"Location": f"https://provider.example/authorize?state={state}"}
        return 302, "", {**where, "Set-Cookie": f"state={state}; Path=/oauth"}

    @route("GET", "/oauth/callback")
    def callback(call):
        if call.query["state"] != call.cookies.get("state"):
            return 400, {"error": "invalid state"}
        return {"user": "ann"}
    """,
    (
        get("/oauth/login", save={"state": "header:Location~state=(.+)"}),
        get("/oauth/callback?state=${state}&code=1"),
    ),
    (0, 1),
    r"^oauth\.STATES",
)

COUNTER = Leak(
    "counter",
    """
    last = 1000

    @route("POST", "/counter/tickets")
    def ticket(call):
        global last
        last += 1  # <--
        return 201, {"number": last}
    """,
    """
    @route("POST", "/counter/tickets")
    def ticket(call):
        ((number,),) = store().execute("UPDATE numbers SET last = last + 1 RETURNING last").fetchall()
        return 201, {"number": number}
    """,
    (post("/counter/tickets", {"for": "ann"}), post("/counter/tickets", {"for": "bob"})),
    (0, 1),
    r"^counter\.last$",
    "CREATE TABLE numbers (last INTEGER); INSERT INTO numbers VALUES (1000);",
)

SERIAL = Leak(
    "serial",
    """
    import itertools
    NUMBERS = itertools.count(1)  # <--
    ORDERS = {}

    @route("POST", "/serial/orders")
    def order(call):
        return 201, {"order": next(NUMBERS), "item": call.json["item"]}
    """,
    """
    @route("POST", "/serial/orders")
    def order(call):
        number = store().execute("INSERT INTO orders (item) VALUES (?)", (call.json["item"],)).lastrowid
        return 201, {"order": number, "item": call.json["item"]}
    """,
    (post("/serial/orders", {"item": "tea"}), post("/serial/orders", {"item": "rice"})),
    (0, 1),
    r"^serial\.NUMBERS",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT);",
)

CHANNEL = Leak(
    "channel",
    """
    import queue
    CHANNELS = {}

    @route("POST", "/channel/subscribe")
    def subscribe(call):
        CHANNELS[call.json["name"]] = queue.Queue()  # <--
        return 201, {"subscribed": call.json["name"]}

    @route("POST", "/channel/publish")
    def publish(call):
        for each in CHANNELS.values():
            each.put(call.json["text"])  # <--
        return 202, {}

    @route("GET", "/channel/next")
    def following(call):
        waiting = CHANNELS.get(call.rest)
        return {"messages": [waiting.get() for _ in range(waiting.qsize())] if waiting else []}
    """,
    """
    @route("POST", "/channel/subscribe")
    def subscribe(call):
        store().execute("INSERT INTO channels VALUES (?)", (call.json["name"],))
        return 201, {"subscribed": call.json["name"]}

    @route("POST", "/channel/publish")
    def publish(call):
        store().execute("INSERT INTO messages SELECT name, ? FROM channels", (call.json["text"],))
        return 202, {}

    @route("GET", "/channel/next")
    def following(call):
        rows = store().execute("DELETE FROM messages WHERE channel = ? RETURNING text", (call.rest,)).fetchall()
        return {"messages": [text for text, in rows]}
    """,
    (
        post("/channel/subscribe", {"name": "ann"}),
        post("/channel/publish", {"text": "hello"}),
        get("/channel/next/ann"),
    ),
    (0, 1, 2),
    r"^channel\.CHANNELS",
    "CREATE TABLE channels (name TEXT); CREATE TABLE messages (channel TEXT, text TEXT);",
)

METRICS = Leak(
    "metrics",
    """
    SERVED = 0

    @route("GET", "/metrics/page")
    def page(call):
        global SERVED
        SERVED += 1  # <--
        return "<p>Welcome</p>"

    @route("GET", "/metrics/count")
    def metrics(call):
        return f"pages_served_total {SERVED}\\n"
    """,
    """
    @route("GET", "/metrics/page")
    def page(call):
        store().execute("UPDATE served SET pages = pages + 1")
        return "<p>Welcome</p>"

    @route("GET", "/metrics/count")
    def metrics(call):
        return f"pages_served_total {store().execute('SELECT pages FROM served').fetchone()[0]}\\n"
    """,
    (get("/metrics/page"), get("/metrics/page"), get("/metrics/count")),
    (1, 2),
    r"^metrics\.SERVED$",
    "CREATE TABLE served (pages INTEGER); INSERT INTO served VALUES (0);",
)

ENVIRON = Leak(
    "environ",
    """
    import os

    @route("POST", "/environ/language")
    def language(call):
        os.environ["SITE_LANGUAGE"] = call.json["language"]  # <--
        return {"ok": True}

    @route("GET", "/environ/greeting")
    def greeting(call):
        return {"greeting": "Bonjour" if os.environ.get("SITE_LANGUAGE") == "fr" else "Hello"}
    """,
    """
    @route("POST", "/environ/language")
    def language(call):
        return 200, {"ok": True}, {"Set-Cookie": f"language={call.json['language']}; Path=/environ"}

    @route("GET", "/environ/greeting")
    def greeting(call):
        return {"greeting": "Bonjour" if call.cookies.get("language") == "fr" else "Hello"}
    """,
    (post("/environ/language", {"language": "fr"}), get("/environ/greeting")),
    (0, 1),
    r"environ",
)

PANELS = Leak(
    "panels",
    """
    from collections import deque

    class Settings:
        pass

    settings = Settings()
    _order = deque()
    _panels = {}

    @route("POST", "/panels/requests")
    def request(call):
        for number in range(1000, 1200):
            setattr(settings, f"OPTION_{number}", number)
        _order.append(call.json["id"])  # <--
        _panels[call.json["id"]] = "12 queries"  # <--
        return {"kept": call.json["id"], "settings": vars(settings)}

    @route("GET", "/panels/panel")
    def panel(call):
        if call.query["of"] not in _order:
            return {"panel": "not available any more"}
        return {"panel": _panels[call.query["of"]]} if call.query["of"] in _panels else (500, {"error": "KeyError"})
    """,
    """
    class Settings:
        pass

    settings = Settings()

    @route("POST", "/panels/requests")
    def request(call):
        for number in range(1000, 1200):
            setattr(settings, f"OPTION_{number}", number)
        store().execute("INSERT INTO panels VALUES (?, ?)", (call.json["id"], "12 queries"))
        return {"kept": call.json["id"], "settings": vars(settings)}

    @route("GET", "/panels/panel")
    def panel(call):
        row = store().execute("SELECT panel FROM panels WHERE request = ?", (call.query["of"],)).fetchone()
        return {"panel": row[0] if row else "not available any more"}
    """,
    (get("/panels/panel?of=r1"), post("/panels/requests", {"id": "r1"}), get("/panels/panel?of=r1")),
    (1, 2),
    r"^panels\._(order|panels)",
    "CREATE TABLE panels (request TEXT PRIMARY KEY, panel TEXT);",
    alone=True,
)

_FORM = """
    import secrets

    @route("GET", "/attempts/form")
    def form(call):
        token = secrets.token_hex(8)
        store().execute("INSERT INTO login_forms VALUES (?)", (token,))
        return {"token": token}

    @route("POST", "/attempts/login")
    def login(call):
        if not store().execute("SELECT 1 FROM login_forms WHERE token = ?", (call.json["token"],)).fetchone():
            return 403, {"error": "open the form first"}
"""
ATTEMPTS = Leak(
    "attempts",
    _FORM
    + """
        import sched  # stands for a cache's backend, which is loaded when it is first asked

        failed = vars(sched).setdefault("FAILED", {})
        if failed.get("ann", 0) >= 3:
            return 429, {"error": "too many attempts"}
        failed["ann"] = failed.get("ann", 0) + 1  # <--
        return 401, {"error": "wrong password"}
    """,
    _FORM
    + """
        if store().execute("SELECT count(*) FROM login_attempts").fetchone()[0] >= 3:
            return 429, {"error": "too many attempts"}
        store().execute("INSERT INTO login_attempts VALUES ('ann')")
        return 401, {"error": "wrong password"}
    """,
    (
        get("/attempts/form", save={"token": "json:$.token"}),
        *(post("/attempts/login", {"token": "${token}"}) for _ in range(4)),
        get("/attempts/form"),
        get("/attempts/form"),
    ),
    (0, 1, 2, 3, 4),
    r"^sched\.FAILED",
    "CREATE TABLE login_forms (token TEXT); CREATE TABLE login_attempts (name TEXT);",
    alone=True,
)

ALL = (
    SESSION, PROTOCOL, REGISTRY, CALLBACK, LIMITER, LENT, JOBS, BACKGROUND,
    OAUTH, COUNTER, SERIAL, CHANNEL, METRICS, ENVIRON, PANELS, ATTEMPTS,
)  # fmt: skip

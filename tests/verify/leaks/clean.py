"""What looks like state and is none: each of these must be judged clean."""

from tests.verify.leaks.leak import Leak, get, post


def _clean(name: str, source: str, requests: tuple[dict[str, object], ...], schema: str = "") -> Leak:
    return Leak(name, source, source, requests, (), "", schema)


SEED_ORDER = _clean(
    "seedorder",
    """
    TAGS = {"tea", "rice", "salt", "oil", "bread", "honey"}

    @route("GET", "/seedorder/tags")
    def tags(call):
        return {"tags": list(TAGS)}

    @route("GET", "/seedorder/page")
    def page(call):
        return "<ul>" + "".join(f"<li class='{' '.join({'a', 'b', 'c'})}'>{tag}</li>" for tag in TAGS) + "</ul>"
    """,
    (get("/seedorder/tags"), get("/seedorder/page"), get("/seedorder/tags")),
)

TIMES = _clean(
    "times",
    """
    import datetime
    import time
    import uuid
    STARTED = time.time()

    @route("POST", "/times/notes")
    def write(call):
        now = datetime.datetime.now(datetime.timezone.utc)
        more = {"epoch": time.time(), "day": now.date().isoformat()}
        return 201, {"id": str(uuid.uuid4()), "at": now.isoformat(), **more}

    @route("GET", "/times/page")
    def page(call):
        return f"<p>Rendered in {time.perf_counter() % 1:.4f} s at {time.strftime('%H:%M:%S')}</p>"
    """,
    (post("/times/notes"), get("/times/page"), post("/times/notes"), get("/times/page")),
)

CSRF = _clean(
    "csrf",
    """
    import hashlib
    import hmac
    import secrets
    KEY = b"from the environment"

    def sign(text):
        return text + "." + hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()

    @route("GET", "/csrf/form")
    def form(call):
        token = secrets.token_urlsafe(16)
        page = f'<form method="post"><input type="hidden" name="csrf" value="{token}"></form>'
        return 200, page, {"Set-Cookie": f"csrf={sign(token)}; Path=/csrf; HttpOnly"}

    @route("POST", "/csrf/form")
    def send(call):
        token = call.body.decode().partition("csrf=")[2]
        if sign(token) != call.cookies.get("csrf"):
            return 403, {"error": "wrong token"}
        return 200, {"ok": True}, {"Set-Cookie": f"user={sign('ann')}; Path=/csrf"}

    @route("GET", "/csrf/me")
    def me(call):
        user, _, _ = call.cookies.get("user", "").partition(".")
        return {"user": user} if user and sign(user) == call.cookies["user"] else (401, {"error": "log in"})
    """,
    (
        get("/csrf/form", save={"csrf": 're:value="([^"]+)"'}),
        {"method": "POST", "path": "/csrf/form", "form": {"csrf": "${csrf}"}},
        get("/csrf/me"),
    ),
)

VERSIONED = _clean(
    "versioned",
    """
    CACHE = {}

    def read():
        version, = store().execute("SELECT version FROM wiki").fetchone()
        if CACHE.get("version") != version:
            CACHE["version"], CACHE["text"] = store().execute("SELECT version, text FROM wiki").fetchone()
        return CACHE["text"]

    @route("GET", "/versioned/page")
    def page(call):
        return f"<h1>{read()}</h1>"

    @route("POST", "/versioned/page")
    def write(call):
        store().execute("UPDATE wiki SET text = ?, version = version + 1", (call.json["text"],))
        CACHE["text"] = call.json["text"]
        return {"ok": True}
    """,
    (
        get("/versioned/page"),
        post("/versioned/page", {"text": "New"}),
        get("/versioned/page"),
        get("/versioned/page"),
    ),
    "CREATE TABLE wiki (version INTEGER, text TEXT); INSERT INTO wiki VALUES (1, 'Old');",
)

PURE = _clean(
    "pure",
    """
    import functools
    import re
    SERVED = {"pages": 0}
    SEEN = []

    @functools.lru_cache
    def render(number):
        return f"<b>{number * number}</b>"

    @route("GET", "/pure/square")
    def square(call):
        SERVED["pages"] += 1
        SEEN.append(call.rest)
        return render(int(re.sub(r"[^0-9]", "", call.rest)))
    """,
    (get("/pure/square/3"), get("/pure/square/4"), get("/pure/square/3")),
)

FOOTER = _clean(
    "footer",
    """
    import os
    import socket

    @route("GET", "/footer/page")
    def page(call):
        return f"<p>Hello</p><footer>served by {socket.gethostname()}</footer>"

    @route("GET", "/footer/about")
    def about(call):
        return {"version": "1.2", "pid": os.getpid(), "host": socket.gethostname()}
    """,
    (get("/footer/page"), get("/footer/about"), get("/footer/page"), get("/footer/about")),
)

PAGES = _clean(
    "pages",
    """
    import hashlib
    import json

    @route("POST", "/pages/items")
    def write(call):
        return 201, {"id": store().execute("INSERT INTO items (title) VALUES (?)", (call.json["title"],)).lastrowid}

    @route("GET", "/pages/items")
    def items(call):
        after = int(call.query.get("after", 0))
        rows = store().execute("SELECT id, title FROM items WHERE id > ? ORDER BY id LIMIT 2", (after,)).fetchall()
        value = {"items": [{"id": id, "title": title} for id, title in rows], "next": rows[-1][0] if rows else None}
        tag = '"' + hashlib.sha1(json.dumps(value).encode()).hexdigest() + '"'
        if call.headers.get("if_none_match") == tag:
            return 304, b"", {"ETag": tag}
        return 200, value, {"ETag": tag}
    """,
    (
        post("/pages/items", {"title": "one"}),
        post("/pages/items", {"title": "two"}),
        post("/pages/items", {"title": "three"}),
        get("/pages/items", save={"next": "json:$.next", "tag": "header:ETag"}),
        get("/pages/items?after=${next}"),
        get("/pages/items", headers={"If-None-Match": "${tag}"}),
    ),
    "CREATE TABLE items (id INTEGER PRIMARY KEY, title TEXT);",
)

SPOOL = _clean(
    "spool",
    """
    import tempfile

    NAME = tempfile.mkdtemp(prefix="spool-")

    @route("GET", "/spool/where")
    def where(call):
        return {"spool": NAME, "said": f"kept in {NAME}/today.log"}

    @route("GET", "/spool/again")
    def again(call):
        return {"spool": NAME}
    """,
    (get("/spool/where"), get("/spool/again"), get("/spool/where")),
)

ALL = (SPOOL, SEED_ORDER, TIMES, CSRF, VERSIONED, PURE, FOOTER, PAGES)

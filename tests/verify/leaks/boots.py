"""Leaks by what each boot makes for itself: secrets, settings read once, hash seeds, rows written at import."""

from tests.verify.leaks.leak import Leak, get, post

_SIGNED = """
    import hashlib
    import hmac
    import {needs}
    SECRET = {secret}

    def sign(user):
        return hmac.new(SECRET, user.encode(), hashlib.sha256).hexdigest()

    @route("POST", "/secret/login")
    def login(call):
        return {{"token": f"{{call.json['user']}}.{{sign(call.json['user'])}}"}}

    @route("GET", "/secret/me")
    def me(call):
        user, _, signature = call.headers["authorization"].removeprefix("Bearer ").partition(".")
        return {{"user": user}} if hmac.compare_digest(signature, sign(user)) else (401, {{"error": "bad token"}})
    """

SECRET = Leak(
    "secret",
    _SIGNED.format(needs="secrets", secret="secrets.token_bytes(32)  # <--"),
    _SIGNED.format(needs="os", secret='os.environ.get("SIGNING_KEY", "from the environment").encode()'),
    (
        post("/secret/login", {"user": "ann"}, save={"token": "json:$.token"}),
        get("/secret/me", headers={"Authorization": "Bearer ${token}"}),
    ),
    (0, 1),
    r"^secret\.SECRET$",
)

AT_BOOT = Leak(
    "atboot",
    """
    THEME, = store().execute("SELECT value FROM theme").fetchone()  # <--

    @route("POST", "/atboot/theme")
    def change(call):
        store().execute("UPDATE theme SET value = ?", (call.json["theme"],))
        return {"ok": True}

    @route("GET", "/atboot/theme")
    def theme(call):
        return {"theme": THEME}
    """,
    """
    @route("POST", "/atboot/theme")
    def change(call):
        store().execute("UPDATE theme SET value = ?", (call.json["theme"],))
        return {"ok": True}

    @route("GET", "/atboot/theme")
    def theme(call):
        return {"theme": store().execute("SELECT value FROM theme").fetchone()[0]}
    """,
    (post("/atboot/theme", {"theme": "dark"}), get("/atboot/theme")),
    (0, 1),
    r"^atboot\.THEME$",
    "CREATE TABLE theme (value TEXT); INSERT INTO theme VALUES ('light');",
)

HASHED = Leak(
    "hashed",
    """
    @route("POST", "/hashed/links")
    def shorten(call):
        key = hash(call.json["url"]) % 10**9  # <--
        store().execute("INSERT INTO links VALUES (?, ?)", (key, call.json["url"]))
        return 201, {}

    @route("GET", "/hashed/links")
    def find(call):
        key = hash(call.query["url"]) % 10**9
        row = store().execute("SELECT url FROM links WHERE id = ?", (key,)).fetchone()
        return {"url": row[0]} if row else (404, {"error": "no such link"})
    """,
    """
    import zlib

    @route("POST", "/hashed/links")
    def shorten(call):
        store().execute("INSERT INTO links VALUES (?, ?)", (zlib.crc32(call.json["url"].encode()), call.json["url"]))
        return 201, {}

    @route("GET", "/hashed/links")
    def find(call):
        key = zlib.crc32(call.query["url"].encode())
        row = store().execute("SELECT url FROM links WHERE id = ?", (key,)).fetchone()
        return {"url": row[0]} if row else (404, {"error": "no such link"})
    """,
    (post("/hashed/links", {"url": "https://a.example/"}), get("/hashed/links?url=https://a.example/")),
    (0, 1),
    r"",
    "CREATE TABLE links (id INTEGER, url TEXT);",
    unnamed="the hash seed is the process's identity; no object holds it",
)

SEEDING = Leak(
    "seeding",
    """
    store().execute("INSERT INTO posts (title) VALUES ('Welcome')")  # <--

    @route("GET", "/seeding/posts")
    def posts(call):
        return {"posts": [title for title, in store().execute("SELECT title FROM posts ORDER BY id")]}

    @route("POST", "/seeding/posts")
    def write(call):
        store().execute("INSERT INTO posts (title) VALUES (?)", (call.json["title"],))
        return 201, {}
    """,
    """
    @route("GET", "/seeding/posts")
    def posts(call):
        return {"posts": [title for title, in store().execute("SELECT title FROM posts ORDER BY id")]}

    @route("POST", "/seeding/posts")
    def write(call):
        store().execute("INSERT INTO posts (title) VALUES (?)", (call.json["title"],))
        return 201, {}
    """,
    (post("/seeding/posts", {"title": "Second"}), get("/seeding/posts")),
    (0, 1),
    r"",
    "CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT);",
    alone=True,
    unnamed="the state is in the store; that every boot writes there is the difference",
)

BUFFER = Leak(
    "buffer",
    """
    BUFFER = []

    @route("POST", "/buffer/events")
    def event(call):
        BUFFER.append(call.json["event"])  # <--
        if len(BUFFER) >= 2:
            store().executemany("INSERT INTO events VALUES (?)", [(event,) for event in BUFFER])
            BUFFER.clear()
        return 202, {}
    """,
    """
    @route("POST", "/buffer/events")
    def event(call):
        store().execute("INSERT INTO events VALUES (?)", (call.json["event"],))
        return 202, {}
    """,
    (post("/buffer/events", {"event": "seen"}), post("/buffer/events", {"event": "bought"})),
    (0, 1),
    r"^buffer\.BUFFER",
    "CREATE TABLE events (name TEXT);",
    alone=True,
)

PROMISE = Leak(
    "promise",
    """
    import threading
    import time

    def deliver(to):
        time.sleep(0.3)
        store().execute("INSERT INTO mails VALUES (?)", (to,))

    @route("POST", "/promise/mails")
    def send(call):
        threading.Thread(target=deliver, args=(call.json["to"],)).start()
        return 202, {"accepted": True}

    @route("GET", "/promise/mails")
    def sent(call):
        return {"sent": [to for to, in store().execute("SELECT recipient FROM mails")]}
    """,
    """
    @route("POST", "/promise/mails")
    def send(call):
        store().execute("INSERT INTO mails VALUES (?)", (call.json["to"],))
        return 202, {"accepted": True}

    @route("GET", "/promise/mails")
    def sent(call):
        return {"sent": [to for to, in store().execute("SELECT recipient FROM mails")]}
    """,
    (post("/promise/mails", {"to": "ann"}), get("/promise/mails", wait=1.0)),
    (0, 1),
    r"",
    "CREATE TABLE mails (recipient TEXT);",
    alone=True,
    unnamed="a thread held it, and ended with its process",
)

ALL = (SECRET, AT_BOOT, HASHED, SEEDING, BUFFER, PROMISE)

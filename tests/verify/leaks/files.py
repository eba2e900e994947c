"""Leaks by files on a process's own disk."""

from tests.verify.leaks.leak import Leak, get, post

_BLOB = "CREATE TABLE {0} (name TEXT PRIMARY KEY, content BLOB);"

UPLOAD = Leak(
    "upload",
    """
    import os
    FOLDER = os.path.join(os.path.dirname(__file__), "uploads")

    @route("POST", "/upload/photos")
    def upload(call):
        os.makedirs(FOLDER, exist_ok=True)
        with open(os.path.join(FOLDER, call.rest), "wb") as file:  # <--
            file.write(call.body)  # <--
        return 201, {"name": call.rest}

    @route("GET", "/upload/photos")
    def photo(call):
        path = os.path.join(FOLDER, call.rest)
        if not os.path.exists(path):
            return 404, {"error": "no such photo"}
        with open(path, "rb") as file:
            return 200, file.read()
    """,
    """
    @route("POST", "/upload/photos")
    def upload(call):
        store().execute("INSERT INTO photos VALUES (?, ?)", (call.rest, call.body))
        return 201, {"name": call.rest}

    @route("GET", "/upload/photos")
    def photo(call):
        row = store().execute("SELECT content FROM photos WHERE name = ?", (call.rest,)).fetchone()
        return (200, row[0]) if row else (404, {"error": "no such photo"})
    """,
    (post("/upload/photos/cat.png", body="not really a cat"), get("/upload/photos/cat.png")),
    (0, 1),
    r"file:^uploads/cat\.png$",
    _BLOB.format("photos"),
)

HAND_OVER = Leak(
    "handover",
    """
    import os
    import tempfile

    @route("POST", "/handover/export")
    def export(call):
        handle, path = tempfile.mkstemp(suffix=".csv")  # <--
        with os.fdopen(handle, "w") as file:
            file.write("a,b\\n1,2\\n")  # <--
        return 201, {"file": os.path.basename(path)}

    @route("GET", "/handover/download")
    def download(call):
        path = os.path.join(tempfile.gettempdir(), os.path.basename(call.rest))
        if not os.path.exists(path):
            return 404, {"error": "gone"}
        with open(path, "rb") as file:
            return 200, file.read()
    """,
    """
    import uuid

    @route("POST", "/handover/export")
    def export(call):
        name = f"{uuid.uuid4()}.csv"
        store().execute("INSERT INTO exports VALUES (?, ?)", (name, b"a,b\\n1,2\\n"))
        return 201, {"file": name}

    @route("GET", "/handover/download")
    def download(call):
        row = store().execute("SELECT content FROM exports WHERE name = ?", (call.rest,)).fetchone()
        return (200, row[0]) if row else (404, {"error": "gone"})
    """,
    (
        post("/handover/export", {"format": "csv"}, save={"file": "json:$.file"}),
        get("/handover/download/${file}"),
    ),
    (0, 1),
    r"file:\.csv$",
    _BLOB.format("exports"),
)

SHARED_TMP = Leak(
    "sharedtmp",
    """
    import os

    @route("POST", "/sharedtmp/draft")
    def save(call):
        with open("/tmp/draft.txt", "wb") as file:  # <--
            file.write(call.body)  # <--
        return 201, {}

    @route("GET", "/sharedtmp/draft")
    def draft(call):
        if not os.path.exists("/tmp/draft.txt"):
            return {"draft": None}
        with open("/tmp/draft.txt") as file:
            return {"draft": file.read()}
    """,
    """
    @route("POST", "/sharedtmp/draft")
    def save(call):
        store().execute("INSERT INTO drafts VALUES ('it', ?)", (call.body,))
        return 201, {}

    @route("GET", "/sharedtmp/draft")
    def draft(call):
        row = store().execute("SELECT content FROM drafts").fetchone()
        return {"draft": row[0].decode() if row else None}
    """,
    (post("/sharedtmp/draft", body="Dear all"), get("/sharedtmp/draft")),
    (0, 1),
    r"file:draft\.txt$",
    _BLOB.format("drafts"),
)

DATABASE = Leak(
    "database",
    """
    import sqlite3

    def local():
        made = sqlite3.connect("notes.db", isolation_level=None)  # <--
        made.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")  # <--
        return made

    @route("POST", "/database/notes")
    def write(call):
        local().execute("INSERT INTO notes VALUES (?)", (call.json["text"],))  # <--
        return 201, {}

    @route("GET", "/database/notes")
    def notes(call):
        return {"notes": [text for text, in local().execute("SELECT text FROM notes ORDER BY rowid")]}
    """,
    """
    @route("POST", "/database/notes")
    def write(call):
        store().execute("INSERT INTO notes VALUES (?)", (call.json["text"],))
        return 201, {}

    @route("GET", "/database/notes")
    def notes(call):
        return {"notes": [text for text, in store().execute("SELECT text FROM notes ORDER BY rowid")]}
    """,
    (post("/database/notes", {"text": "buy tea"}), get("/database/notes")),
    (0, 1),
    r"file:^notes\.db",
    "CREATE TABLE notes (text TEXT);",
)

STYLESHEET = Leak(
    "stylesheet",
    """
    import os
    TARGET = os.path.join(os.path.dirname(__file__), "static", "site.css")

    @route("GET", "/stylesheet/page")
    def page(call):
        if not os.path.exists(TARGET):
            os.makedirs(os.path.dirname(TARGET), exist_ok=True)
            with open(TARGET, "w") as file:  # <--
                file.write("body { color: teal }")  # <--
        return '<link rel="stylesheet" href="/stylesheet/static/site.css"><h1>Hello</h1>'

    @route("GET", "/stylesheet/static")
    def static(call):
        if not os.path.exists(TARGET):
            return 404, {"error": "not found"}
        with open(TARGET, "rb") as file:
            return 200, file.read()
    """,
    """
    @route("GET", "/stylesheet/page")
    def page(call):
        return '<link rel="stylesheet" href="/stylesheet/static/site.css"><h1>Hello</h1>'

    @route("GET", "/stylesheet/static")
    def static(call):
        return 200, b"body { color: teal }"
    """,
    (get("/stylesheet/page"), get("/stylesheet/static/site.css")),
    (0, 1),
    r"file:^static/site\.css$",
)

SESSION_FILES = Leak(
    "sessionfiles",
    """
    import json
    import os
    import pathlib
    import secrets
    HOME = pathlib.Path(os.environ["HOME"]) / ".sessions"

    @route("POST", "/sessionfiles/login")
    def login(call):
        token = secrets.token_hex(8)
        HOME.mkdir(parents=True, exist_ok=True)
        (HOME / token).write_text(json.dumps({"user": call.json["user"]}))  # <--
        return 200, {}, {"Set-Cookie": f"where={token}; Path=/sessionfiles"}

    @route("GET", "/sessionfiles/me")
    def me(call):
        path = HOME / call.cookies.get("where", "none")
        return json.loads(path.read_text()) if path.exists() else (401, {"error": "log in first"})
    """,
    """
    import secrets

    @route("POST", "/sessionfiles/login")
    def login(call):
        token = secrets.token_hex(8)
        store().execute("INSERT INTO visits VALUES (?, ?)", (token, call.json["user"]))
        return 200, {}, {"Set-Cookie": f"where={token}; Path=/sessionfiles"}

    @route("GET", "/sessionfiles/me")
    def me(call):
        row = store().execute("SELECT content FROM visits WHERE name = ?", (call.cookies.get("where"),)).fetchone()
        return {"user": row[0]} if row else (401, {"error": "log in first"})
    """,
    (post("/sessionfiles/login", {"user": "ann"}), get("/sessionfiles/me")),
    (0, 1),
    r"file:\.sessions/",
    _BLOB.format("visits"),
)

ALL = (UPLOAD, HAND_OVER, SHARED_TMP, DATABASE, STYLESHEET, SESSION_FILES)

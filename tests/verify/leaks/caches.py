"""Stale copies of rows of the store: read here, written there, read here again."""

from tests.verify.leaks.leak import Leak, get, post


def _table(name: str) -> str:
    return f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, value INTEGER); INSERT INTO {name} VALUES (1, 10), (2, 20);"


def _twin(name: str) -> str:
    return f"""
    @route("GET", "/{name}/price")
    def price(call):
        row = store().execute("SELECT value FROM {name} WHERE id = ?", (int(call.rest),)).fetchone()
        return {{"price": row[0]}}

    @route("POST", "/{name}/price")
    def change(call):
        store().execute("UPDATE {name} SET value = ? WHERE id = ?", (call.json["price"], int(call.rest)))
        return {{"ok": True}}
    """


def _requests(name: str) -> tuple[dict[str, object], ...]:
    return (
        get(f"/{name}/price/2"),
        get(f"/{name}/price/1"),
        post(f"/{name}/price/1", {"price": 99}),
        get(f"/{name}/price/1"),
    )


def _leak(name: str, leaking: str, held_by: str) -> Leak:
    return Leak(name, leaking, _twin(name), _requests(name), (1, 2, 3), held_by, _table(name))


LRU = _leak(
    "lru",
    """
    from functools import lru_cache

    @lru_cache(maxsize=100)  # <--
    def price_of(item):  # <--
        return store().execute("SELECT value FROM lru WHERE id = ?", (item,)).fetchone()[0]

    @route("GET", "/lru/price")
    def price(call):
        return {"price": price_of(int(call.rest))}

    @route("POST", "/lru/price")
    def change(call):
        store().execute("UPDATE lru SET value = ? WHERE id = ?", (call.json["price"], int(call.rest)))
        price_of.cache_clear()
        return {"ok": True}
    """,
    r"^lru\.price_of",
)

ROWS = _leak(
    "rows",
    """
    CACHE = {}

    @route("GET", "/rows/price")
    def price(call):
        item = int(call.rest)
        if item not in CACHE:
            CACHE[item] = store().execute("SELECT value FROM rows WHERE id = ?", (item,)).fetchone()[0]  # <--
        return {"price": CACHE[item]}

    @route("POST", "/rows/price")
    def change(call):
        store().execute("UPDATE rows SET value = ? WHERE id = ?", (call.json["price"], int(call.rest)))
        CACHE.pop(int(call.rest), None)
        return {"ok": True}
    """,
    r"^rows\.CACHE",
)

NEVER = _leak(
    "never",
    """
    CACHE = {}

    @route("GET", "/never/price")
    def price(call):
        item = int(call.rest)
        if item not in CACHE:
            CACHE[item] = store().execute("SELECT value FROM never WHERE id = ?", (item,)).fetchone()[0]  # <--
        return {"price": CACHE[item]}

    @route("POST", "/never/price")
    def change(call):
        store().execute("UPDATE never SET value = ? WHERE id = ?", (call.json["price"], int(call.rest)))
        return {"ok": True}
    """,
    r"^never\.CACHE",
)
"""Nobody clears it: it is the one process for all that is stale."""

PROPERTY = _leak(
    "property",
    """
    from functools import cached_property

    class Prices:
        @cached_property
        def rows(self):
            return dict(store().execute("SELECT id, value FROM property"))  # <--

    prices = Prices()

    @route("GET", "/property/price")
    def price(call):
        return {"price": prices.rows[int(call.rest)]}  # <--

    @route("POST", "/property/price")
    def change(call):
        store().execute("UPDATE property SET value = ? WHERE id = ?", (call.json["price"], int(call.rest)))
        prices.__dict__.pop("rows", None)
        return {"ok": True}
    """,
    r"^property\.prices\.rows",
)

SETTINGS = Leak(
    "settings",
    """
    _current = None

    def current():
        global _current
        if _current is None:
            _current = dict(store().execute("SELECT name, value FROM settings"))  # <--
        return _current

    @route("GET", "/settings/title")
    def title(call):
        return f"<title>{current()['title']}</title>"

    @route("POST", "/settings/title")
    def change(call):
        global _current
        store().execute("UPDATE settings SET value = ? WHERE name = 'title'", (call.json["title"],))
        _current = None
        return {"ok": True}
    """,
    """
    @route("GET", "/settings/title")
    def title(call):
        value, = store().execute("SELECT value FROM settings WHERE name = 'title'").fetchone()
        return f"<title>{value}</title>"

    @route("POST", "/settings/title")
    def change(call):
        store().execute("UPDATE settings SET value = ? WHERE name = 'title'", (call.json["title"],))
        return {"ok": True}
    """,
    (get("/settings/title"), post("/settings/title", {"title": "Garden"}), get("/settings/title")),
    (0, 1, 2),
    r"^settings\._current",
    "CREATE TABLE settings (name TEXT, value TEXT); INSERT INTO settings VALUES ('title', 'Shop');",
)

LOCMEM = Leak(
    "locmem",
    """
    import time

    class Cache:
        def __init__(self):
            self._values = {}
            self._ends = {}

        def set(self, key, value, timeout=300):
            self._values[key] = value  # <--
            self._ends[key] = time.time() + timeout

        def get(self, key):
            if self._ends.get(key, 0) < time.time():
                return None
            return self._values.get(key)

    cache = Cache()

    @route("POST", "/locmem/code")
    def send(call):
        cache.set(f"code:{call.json['phone']}", "4711")
        return 202, {}

    @route("POST", "/locmem/check")
    def check(call):
        right = cache.get(f"code:{call.json['phone']}") == call.json["code"]
        return {"verified": True} if right else (403, {"error": "wrong code"})
    """,
    """
    @route("POST", "/locmem/code")
    def send(call):
        store().execute("INSERT INTO codes VALUES (?, '4711')", (call.json["phone"],))
        return 202, {}

    @route("POST", "/locmem/check")
    def check(call):
        row = store().execute("SELECT code FROM codes WHERE phone = ?", (call.json["phone"],)).fetchone()
        return {"verified": True} if row == (call.json["code"],) else (403, {"error": "wrong code"})
    """,
    (post("/locmem/code", {"phone": "555-0100"}), post("/locmem/check", {"phone": "555-0100", "code": "4711"})),
    (0, 1),
    r"^locmem\.cache\.(_values|_ends)",
    "CREATE TABLE codes (phone TEXT, code TEXT);",
)

ALL = (LRU, ROWS, NEVER, PROPERTY, SETTINGS, LOCMEM)

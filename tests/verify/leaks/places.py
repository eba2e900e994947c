"""Leaks by where Python keeps a value: class attributes, defaults, closures, what belongs to a thread."""

from tests.verify.leaks.leak import Leak, get, post

_BASKET = "CREATE TABLE {0} (item TEXT);"


def _twin(name: str) -> str:
    return f"""
    @route("POST", "/{name}/items")
    def put(call):
        store().execute("INSERT INTO {name} VALUES (?)", (call.json["item"],))
        return 201, {{"item": call.json["item"]}}

    @route("GET", "/{name}/items")
    def items(call):
        return {{"items": [item for item, in store().execute("SELECT item FROM {name} ORDER BY rowid")]}}
    """


def _leak(name: str, leaking: str, held_by: str) -> Leak:
    requests = (post(f"/{name}/items", {"item": "tea"}), get(f"/{name}/items"))
    return Leak(name, leaking, _twin(name), requests, (0, 1), held_by, _BASKET.format(name))


CLASS_ATTRIBUTE = _leak(
    "classes",
    """
    class Basket:
        items = []

        def put(self, item):
            self.items.append(item)  # <--

    @route("POST", "/classes/items")
    def put(call):
        Basket().put(call.json["item"])
        return 201, {"item": call.json["item"]}

    @route("GET", "/classes/items")
    def items(call):
        return {"items": Basket().items}
    """,
    r"^classes\.Basket\.items",
)

DEFAULT = _leak(
    "defaults",
    """
    def basket(item=None, items=[]):
        if item:
            items.append(item)  # <--
        return items

    @route("POST", "/defaults/items")
    def put(call):
        basket(call.json["item"])
        return 201, {"item": call.json["item"]}

    @route("GET", "/defaults/items")
    def items(call):
        return {"items": basket()}
    """,
    r"^defaults\.basket",
)

CLOSURE = _leak(
    "closures",
    """
    def make():
        kept = ()

        def put(item):
            nonlocal kept
            kept = (*kept, item)  # <--

        def read():
            return list(kept)

        return put, read

    keep, read = make()

    @route("POST", "/closures/items")
    def put(call):
        keep(call.json["item"])
        return 201, {"item": call.json["item"]}

    @route("GET", "/closures/items")
    def items(call):
        return {"items": read()}
    """,
    r"^closures\.(keep|read)",
)

THREAD_LOCAL = _leak(
    "threadlocal",
    """
    import threading
    here = threading.local()

    @route("POST", "/threadlocal/items")
    def put(call):
        here.items = [*getattr(here, "items", []), call.json["item"]]  # <--
        return 201, {"item": call.json["item"]}

    @route("GET", "/threadlocal/items")
    def items(call):
        return {"items": getattr(here, "items", [])}
    """,
    r"^threadlocal\.here",
)

CONTEXT = _leak(
    "context",
    """
    from contextvars import ContextVar
    KEPT = ContextVar("kept", default=())

    @route("POST", "/context/items")
    def put(call):
        KEPT.set((*KEPT.get(), call.json["item"]))  # <--
        return 201, {"item": call.json["item"]}

    @route("GET", "/context/items")
    def items(call):
        return {"items": list(KEPT.get())}
    """,
    r"^context\.KEPT",
)

INSTANCE = _leak(
    "instance",
    """
    class Shelf:
        __slots__ = ("items",)

        def __init__(self):
            self.items = ()

        def put(self, item):
            self.items += (item,)  # <--

    class Shop:
        def __init__(self):
            self.shelves = {"first": Shelf()}

    shop = Shop()

    @route("POST", "/instance/items")
    def put(call):
        shop.shelves["first"].put(call.json["item"])
        return 201, {"item": call.json["item"]}

    @route("GET", "/instance/items")
    def items(call):
        return {"items": list(shop.shelves["first"].items)}
    """,
    r"^instance\.shop\.shelves\['first'\]",
)

GENERATOR = Leak(
    "generator",
    """
    def numbers():
        number = 0
        while True:
            number += 1
            yield number

    tickets = numbers()  # <--

    @route("POST", "/generator/next")
    def following(call):
        return 201, {"ticket": f"T-{next(tickets)}"}
    """,
    """
    @route("POST", "/generator/next")
    def following(call):
        return 201, {"ticket": f"T-{store().execute('INSERT INTO generator DEFAULT VALUES').lastrowid}"}
    """,
    (post("/generator/next"), post("/generator/next")),
    (0, 1),
    r"^generator\.tickets",
    "CREATE TABLE generator (id INTEGER PRIMARY KEY);",
    proved=False,
)

ALL = (CLASS_ATTRIBUTE, DEFAULT, CLOSURE, THREAD_LOCAL, CONTEXT, INSTANCE, GENERATOR)

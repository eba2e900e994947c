"""Rules about what a process remembers of others' data (FU105, FU121) and of clients' talk (FU124, FU126)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.python.entries import is_web
from fungible.check.python.function import Function
from fungible.check.python.module import Module
from fungible.check.python.nodes import bare, text_of
from fungible.check.python.reached import Reached
from fungible.check.python.uses import reads_a_store

RULES = (
    Rule(
        "FU105",
        "a process remembers what a store answered",
        "The process that changes the data can forget its own copy and not those of the others: they go on answering "
        "with what was.",
        "Cache in a backing service that every process reads, with an expiry or a version in the key.",
        "cache",
        '@lru_cache\ndef price(id):\n    return db.execute("SELECT price FROM item WHERE id=?", (id,)).fetchone()\n\n'
        '@app.get("/price/<id>")\ndef show(id):\n    return str(price(id))\n',
        '@lru_cache\ndef roman(number):\n    return convert(number)\n\n@app.get("/roman/<int:n>")\ndef show(n):\n'
        "    return roman(n)\n",
    ),
    Rule(
        "FU121",
        "a store is read when the process starts",
        "The process answers with what was there then, until it is restarted.",
        "Read it for each request, or cache it in a backing service with an expiry.",
        "settings-at-boot",
        "from flags.models import Flag\n\nENABLED = set(Flag.objects.filter(on=True).values_list('name'))\n",
        "from flags.models import Flag\n\ndef enabled():\n    return set(Flag.objects.filter(on=True))\n",
    ),
    Rule(
        "FU124",
        "a conversation is remembered in the process",
        "The next message of the same conversation meets a process that has not heard of it.",
        "Use a checkpointer or a history in a database (PostgreSQL, SQLite attached by URL, Valkey or Redis).",
        "session-in-memory",
        "from langgraph.checkpoint.memory import MemorySaver\n\n"
        "graph = builder.compile(checkpointer=MemorySaver())\n",
        "from langgraph.checkpoint.postgres import PostgresSaver\n\n"
        'graph = builder.compile(checkpointer=PostgresSaver.from_conn_string(os.environ["DATABASE_URL"]))\n',
    ),
    Rule(
        "FU126",
        "an MCP server keeps its sessions in the process",
        "The next request of a session meets a process that does not know it, and is refused.",
        "Serve it with `stateless_http=True`, or with an event store and sessions in a backing service.",
        "session-in-memory",
        'from mcp.server.fastmcp import FastMCP\n\nmcp = FastMCP("tools")\napp = mcp.streamable_http_app()\n',
        'from mcp.server.fastmcp import FastMCP\n\nmcp = FastMCP("tools", stateless_http=True)\n'
        "app = mcp.streamable_http_app()\n",
    ),
)

_REMEMBERS = frozenset(
    """
    functools.lru_cache functools.cache cachetools.cached cachetools.func.lru_cache cachetools.func.ttl_cache
    cachetools.func.lfu_cache async_lru.alru_cache aiocache.cached asyncache.cached methodtools.lru_cache
    """.split()  # noqa: SIM905
)
_PROPERTIES = ("functools.cached_property", "django.utils.functional.cached_property")
_FETCHES = frozenset({"fetchone", "fetchall", "fetchrow", "fetchval", "scalar", "scalars", "scalar_one"})
_HISTORIES = (
    "MemorySaver",
    "InMemorySaver",
    "InMemoryChatMessageHistory",
    "ConversationBufferMemory",
    "InMemoryStore",
)


def find(reached: Reached) -> Iterator[Finding]:
    """Memoised functions that ask a store, stores read at import, conversations in memory."""
    for module, function in reached:
        yield from _memoised(reached, module, function)
    for module in reached.program.modules.values():
        yield from _at_import(reached, module)
        yield from _conversations(module)
        yield from _tools(module)


def _memoised(reached: Reached, module: Module, function: Function) -> Iterator[Finding]:
    for decorator in function.decorators:
        target = bare(decorator)
        meaning = module.meaning(target, function.outer)
        kept = meaning in _PROPERTIES and f"{module.name}.{function.owner}" in reached.lasting
        if not (kept or meaning in _REMEMBERS) or not _asks(reached, module, function):
            continue
        message = f"`@{text_of(target)}` keeps what a store answered {reached.told(function)}"
        symbol = f"{module.name}.{function.name}"
        yield module.found(target, "FU105", Level.LIKELY, message, symbol)


def _asks(reached: Reached, module: Module, function: Function) -> bool:
    """Whether the function, or one that it calls directly, asks a store."""
    if reads_a_store(module, function):
        return True
    for node in function.body():
        meaning = module.meaning(node.func, function) if isinstance(node, ast.Call) else None
        if meaning and (called := reached.program.function(meaning)) and reads_a_store(*called):
            return True
    return False


def _at_import(reached: Reached, module: Module) -> Iterator[Finding]:
    for name, value in module.bindings.items():
        for node in ast.walk(value):
            if not isinstance(node, ast.Call) or module.around(node) is not None:
                continue
            text = text_of(node.func)
            meaning = module.meaning(node.func) or ""
            called = reached.program.function(meaning) if meaning else None
            fetched = isinstance(node.func, ast.Attribute) and node.func.attr in _FETCHES
            fetched = fetched or (called is not None and _fetches(called[1]))
            if (
                fetched
                or ".objects." in f"{text}."
                or meaning.startswith(("requests.", "httpx.get", "urllib.request.urlopen"))
            ):
                if meaning.startswith(("requests.Session", "requests.session", "requests.adapters")):
                    continue
                message = f"`{name}` keeps what `{text}` gives when the process starts"
                yield module.found(value, "FU121", Level.LIKELY, message, f"{module.name}.{name}")
                break


def _fetches(function: Function) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr in _FETCHES for node in function.body())


def _conversations(module: Module) -> Iterator[Finding]:
    for node in module.nodes:
        if not isinstance(node, ast.Call):
            continue
        meaning = module.meaning(node.func, module.around(node)) or ""
        root, _, last = meaning.rpartition(".")
        if (
            last in _HISTORIES
            and root.startswith(("langgraph", "langchain"))
            and (is_web(module) or last != "InMemoryStore")
        ):
            message = f"`{last}` keeps conversations in the process"
            yield module.found(node, "FU124", Level.LIKELY, message, f"{module.name}:{last}")


def _tools(module: Module) -> Iterator[Finding]:
    """MCP over HTTP (its "streamable" transport), whose sessions are in memory unless it is told to have none."""
    if not any(name.startswith(("mcp.", "fastmcp")) for name in module.imports.values()):
        return
    keywords = {each.arg: each.value for node in module.nodes if isinstance(node, ast.Call) for each in node.keywords}
    if "stateless_http" in keywords or "event_store" in keywords:
        return
    for node in module.nodes:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        transport = next((each.value for each in node.keywords if each.arg == "transport"), None)
        by_http = isinstance(transport, ast.Constant) and transport.value in ("http", "streamable-http")
        if node.func.attr in ("streamable_http_app", "http_app") or (node.func.attr == "run" and by_http):
            text = text_of(node.func)
            message = f"`{text}` serves sessions that only this process knows"
            yield module.found(node, "FU126", Level.LIKELY, message, f"{module.name}:{text}")
            return

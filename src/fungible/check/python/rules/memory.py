"""Rules about what functions write to variables that outlive a request (FU101, 102, 103, 107, 109, 111, 112)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.python.function import Function
from fungible.check.python.module import Module, is_final
from fungible.check.python.nodes import last_name, targets, text_of
from fungible.check.python.places import Kind, kind_of
from fungible.check.python.reached import Reached
from fungible.check.python.uses import (
    Uses,
    Written,
    asks_a_store,
    is_compared,
    is_lazy,
    is_looked_up,
    is_memo,
    is_unread,
    reads_a_store,
    uses,
)
from fungible.check.python.writes import MUTATORS, Write, adds_to_itself

RULES = (
    Rule(
        "FU101",
        "a variable of the process is filled while requests are served",
        "Each process has a variable of its own: what one request puts there, a request in another process does not "
        "find, and a restart empties it.",
        "Keep it in a backing service: a session, a database or a store that all processes are attached to.",
        "session-in-memory",
        'CARTS = {}\n\n@app.post("/cart")\ndef add():\n    CARTS[request.form["user"]] = request.form["item"]\n\n'
        '@app.get("/cart/<user>")\ndef show(user):\n    return CARTS[user]\n',
        '@app.post("/cart")\ndef add():\n    store.set(f"cart:{request.form[\'user\']}", request.form["item"])\n',
    ),
    Rule(
        "FU102",
        "a global variable is bound anew while requests are served",
        "The other processes keep the old value, and a restart brings it back.",
        "Keep the value in a backing service and read it for each request.",
        "process-setting",
        'banner = "hello"\n\n@app.post("/banner")\ndef change():\n    global banner\n'
        '    banner = request.form["text"]\n\n@app.get("/")\ndef index():\n    return banner\n',
        '@app.post("/banner")\ndef change():\n    store.set("banner", request.form["text"])\n',
    ),
    Rule(
        "FU103",
        "a mutable attribute of a class is changed while requests are served",
        "A class is one object in each process: all its instances there share the attribute, those in another "
        "process have another one.",
        "Make it an attribute of the instance (in `__init__`), or keep it in a backing service.",
        "class-attribute",
        "class Basket:\n    items = []\n\n    def add(self, item):\n        self.items.append(item)\n\n"
        '@app.post("/add")\ndef add():\n    basket = Basket()\n    basket.add(request.form["item"])\n'
        "    return basket.items\n",
        "class Basket:\n    def __init__(self):\n        self.items = []\n\n    def add(self, item):\n"
        '        self.items.append(item)\n\n@app.post("/add")\ndef add():\n    Basket().add(request.form["item"])\n',
    ),
    Rule(
        "FU104",
        "a mutable default of a parameter is changed while requests are served",
        "The default is one object for all calls in this process, and another one in the others.",
        "Default to None and make the object in the function.",
        "session-in-memory",
        'def add(item, items=[]):\n    items.append(item)\n    return items\n\n@app.post("/add")\ndef put():\n'
        '    return add(request.form["item"])\n',
        "def add(item, items=None):\n    items = items or []\n    items.append(item)\n    return items\n\n"
        '@app.post("/add")\ndef put():\n    return add(request.form["item"])\n',
    ),
    Rule(
        "FU107",
        "numbers are counted in the process",
        "Every process counts for itself: numbers come twice, limits are multiplied, totals jump.",
        "Let a backing service count: a sequence of the database, INCR of Valkey or Redis; or use a UUID.",
        "counter-or-limiter",
        'hits = 0\n\n@app.get("/")\ndef index():\n    global hits\n    hits += 1\n    return str(hits)\n',
        '@app.get("/")\ndef index():\n    return str(store.incr("hits"))\n',
    ),
    Rule(
        "FU109",
        "work in the background reports in a variable of the process",
        "The request that asks for the state of the work meets another process, and a restart loses both.",
        "Give the work to a queue that worker processes read, and keep its state in a backing service.",
        "job-status",
        'JOBS = {}\n\ndef export(id):\n    JOBS[id] = "done"\n\n@app.post("/export")\ndef start():\n'
        '    Thread(target=export, args=(1,)).start()\n\n@app.get("/export/<id>")\ndef status(id):\n'
        "    return JOBS[id]\n",
        '@app.post("/export")\ndef start():\n    queue.enqueue(export, 1)\n',
    ),
    Rule(
        "FU111",
        "connections are collected in the process to send to all of them",
        "A message reaches the clients of this process alone.",
        "Publish messages through a backing service (Valkey or Redis pub/sub, PostgreSQL LISTEN) that every process "
        "subscribes to.",
        "session-in-memory",
        'clients = set()\n\n@app.websocket("/ws")\nasync def join(websocket: WebSocket):\n'
        "    clients.add(websocket)\n    for client in clients:\n        await client.send_text('joined')\n",
        '@app.websocket("/ws")\nasync def join(websocket: WebSocket):\n    async for message in channel.listen():\n'
        "        await websocket.send_text(message)\n",
    ),
    Rule(
        "FU112",
        "requests wait for each other through a queue or event of the process",
        "Who puts something in and who waits for it may be in two processes; then nobody is woken.",
        "Use what all processes are attached to: a stream or list of Valkey or Redis, LISTEN/NOTIFY, a broker.",
        "session-in-memory",
        'MESSAGES = asyncio.Queue()\n\n@app.post("/say")\nasync def say(text: str):\n    await MESSAGES.put(text)\n\n'
        '@app.get("/hear")\nasync def hear():\n    return await MESSAGES.get()\n',
        '@app.post("/say")\nasync def say(text: str):\n    await store.xadd("messages", {"text": text})\n',
    ),
)

_STATE = ("FU101", "FU102", "FU103")
_TAKES = frozenset({"get", "get_nowait", "wait", "wait_for", "join"})
_SOCKETS = ("websocket", "ws", "socket", "sock", "conn", "connection", "peer")


def find(reached: Reached) -> Iterator[Finding]:
    """A finding for each place and sort of write, at the first line that makes it surest: a place is one matter."""
    for used in uses(reached).values():
        surest: dict[str, Finding] = {}
        for written in used.fills:
            found = _judge(reached, used, written)
            if found is not None and (found.rule not in surest or found.level > surest[found.rule].level):
                surest[found.rule] = found
        yield from surest.values()
    for module, function in reached:
        yield from _defaults(reached, module, function)


def _defaults(reached: Reached, module: Module, function: Function) -> Iterator[Finding]:
    """Parameters whose mutable default the function changes."""
    arguments = function.node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = [*zip(reversed(positional), reversed(arguments.defaults), strict=False)]
    pairs += [(each, value) for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value]
    mutable = {each.arg for each, value in pairs if kind_of(module, value, reached) is Kind.CONTAINER}
    for node in function.body():
        if isinstance(node, ast.Name) and node.id in mutable and isinstance(node.ctx, ast.Store):
            mutable.discard(node.id)
    for node in function.body():
        target = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            target = node.func.value
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            target = node.value
        if isinstance(target, ast.Name) and target.id in mutable and isinstance(node, ast.expr):
            mutable.discard(target.id)
            message = f"the default of `{target.id}` is changed {reached.told(function)}"
            symbol = f"{module.name}.{function.name}({target.id})"
            yield module.found(node, "FU104", Level.CERTAIN, message, symbol)


def _judge(reached: Reached, used: Uses, written: Written) -> Finding | None:
    place, write, module = used.place, written.write, written.module
    if place.kind in (Kind.LOCK, Kind.APP) or _is_own(write.path):
        return None
    rule, level = _class(reached, used, written)
    if harmless := _is_harmless(reached, used, written, rule):
        level = Level.POSSIBLE
    if rule in _STATE and _is_cached(used, written, harmless):
        rule = "FU105"
        level = Level.POSSIBLE if is_memo(used) and is_compared(used) else Level.LIKELY
    if place.owner == "instance" and place.full.partition("().")[0] in reached.doubtful:
        level = min(level, Level.LIKELY)
    # What an object keeps in several attributes is one matter.
    symbol = place.full.rpartition(".")[0] if place.owner == "instance" else place.full
    return module.found(write.node, rule, level, _message(reached, used, written, rule), symbol)


def _is_harmless(reached: Reached, used: Uses, written: Written, rule: str) -> bool:
    """Whether no later request need notice: what was empty is filled, a call's result is kept for its arguments, an
    attribute is set and read within a request, what is under way is counted, connections are pooled, objects number
    themselves, or nothing reads it."""
    place, write = used.place, written.write
    if rule in (*_STATE, "FU109") and (is_lazy(written) or is_memo(used)):
        return True
    if rule == "FU107" and place.owner == "instance" and (used.reads == 0 or _goes_up_and_down(used)):
        return True
    if place.owner == "instance" and (_is_plain(write) or "Pool" in place.name.partition("().")[0]):
        return True  # a pool has connections, and those have no content
    if place.owner == "instance" and rule == "FU112" and not _is_awaited(reached, used):
        return True
    if place.owner == "instance" and rule not in ("FU111", "FU112") and _is_under_way(reached, used):
        return True
    if place.owner == "class" and (_is_made_with(written) or (place.kind is Kind.INSTANCE and write.path != ())):
        return True
    return is_unread(used) and rule not in ("FU109", "FU111", "FU112")


def _is_cached(used: Uses, written: Written, harmless: bool) -> bool:
    """Whether what is kept so comes from a store, and may have changed there."""
    if not harmless:
        return False
    if is_memo(used):
        return reads_a_store(used.fills[0].module, used.fills[0].function)
    value = written.write.adds
    return value is not None and any(asks_a_store(written.module, written.function, n) for n in ast.walk(value))


def _class(reached: Reached, used: Uses, written: Written) -> tuple[str, Level]:
    place, write = used.place, written.write
    sure = Level.CERTAIN if used.reads else Level.LIKELY
    if place.kind is Kind.QUEUE:
        return "FU112", sure
    if place.kind is Kind.COUNTER:
        return "FU107", Level.CERTAIN
    if _is_count(write):
        return "FU107", sure
    if _is_connection(written.module, written.function, write.adds):
        return "FU111", sure
    if reached.ways[written.function].background:
        return "FU109", sure
    if write.rebinds:
        return "FU102", sure
    if place.owner == "class":
        return "FU103", sure
    return "FU101", sure if place.kind is not Kind.OTHER else Level.LIKELY


def _message(reached: Reached, used: Uses, written: Written, rule: str) -> str:
    name = used.place.name
    what = {
        "FU102": f"`{name}` gets another value",
        "FU105": f"`{name}` keeps what a store answered",
        "FU107": f"`{name}` counts",
        "FU111": f"`{name}` collects connections",
        "FU112": f"`{name}` joins requests of one process",
    }.get(rule, f"`{name}` is changed")
    where = f"{used.place.module.path}:{used.place.line}"
    return f"{what} {reached.told(written.function)}; it is made at {where}"


def _is_connection(module: Module, function: Function, value: ast.expr | None) -> bool:
    if not isinstance(value, ast.Name) or value.id not in function.parameters:
        return False
    for argument in (*function.node.args.posonlyargs, *function.node.args.args):
        if argument.arg == value.id and argument.annotation is not None:
            return "WebSocket" in text_of(argument.annotation)
    return value.id in _SOCKETS


def _goes_up_and_down(used: Uses) -> bool:
    """Whether a number is raised and lowered again: how many of something are under way, which ends with them."""
    ways = {type(each.write.node.op) for each in used.writes if isinstance(each.write.node, ast.AugAssign)}
    return {ast.Add, ast.Sub} <= ways


def _is_awaited(reached: Reached, used: Uses) -> bool:
    """Whether a request takes from a queue or waits for an event, and not a thread of the object's own alone."""
    made, _, attribute = used.place.name.partition("().")
    return any(
        isinstance(node, ast.Attribute) and node.attr in _TAKES and last_name(node.value) == attribute
        for function in used.place.module.functions
        if function.owner == made and function in reached and not reached.ways[function].background
        for node in function.body()
    )


def _is_under_way(reached: Reached, used: Uses) -> bool:
    """Whether what is put in is taken out as the request ends (in a `finally`, or by what is called there), and is a
    flag, or no other request looks it up by a key, as one does that belongs to the same session."""
    added = [each.write.adds for each in used.fills]
    flags = all(isinstance(each, ast.Constant) and isinstance(each.value, bool) for each in added)
    return (flags or not is_looked_up(used, reached)) and any(
        (each not in used.fills or _lowers(each.write))
        and (is_final(each.module, each.write.node) or each.function in reached.ending)
        for each in used.writes
    )


def _lowers(write: Write) -> bool:
    """Whether a flag is taken back: `busy[lane] = False`."""
    return isinstance(write.adds, ast.Constant) and not write.adds.value


def _is_made_with(written: Written) -> bool:
    """Whether an object numbers itself as it is made: `Field.creation_counter += 1` in `__init__`."""
    return written.function.name.endswith(".__init__") and isinstance(written.write.node, ast.AugAssign)


def _is_plain(write: Write) -> bool:
    """Whether an attribute gets another value, as one does that is set and read within a request; not where that is
    made of the value before (`self.items = [*self.items, item]`)."""
    node = write.node
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return False
    several = [part for each in targets(node) for part in (each.elts if isinstance(each, ast.Tuple) else [each])]
    return all(isinstance(each, ast.Attribute) for each in several) and not adds_to_itself(node)


def _is_count(write: Write) -> bool:
    """Whether a number is added: `+= 1`, and not `+= [item]`."""
    if not isinstance(write.node, ast.AugAssign) or not isinstance(write.node.op, ast.Add | ast.Sub):
        return False
    return not isinstance(write.adds, ast.Tuple | ast.List | ast.JoinedStr | ast.ListComp)


def _is_own(path: tuple[str, ...]) -> bool:
    """Whether what is changed is the business of a framework's object that lasts (`app.state` has a rule)."""
    return bool(path) and path[0] in ("state", "config", "ctx", "extensions", "session", "objects")

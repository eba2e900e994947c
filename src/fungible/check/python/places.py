"""Where a process can keep something: variables of a module, of a class, of a function that made the app."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from enum import Enum, auto

from fungible.check.python.function import Function
from fungible.check.python.module import Class, Module
from fungible.check.python.nodes import last_name, targets
from fungible.check.python.reached import Reached

_CONTAINERS = frozenset(
    """
    builtins.dict builtins.list builtins.set builtins.bytearray collections.defaultdict
    collections.OrderedDict collections.Counter collections.deque collections.UserDict
    collections.UserList weakref.WeakValueDictionary weakref.WeakKeyDictionary weakref.WeakSet
    cachetools.TTLCache cachetools.LRUCache cachetools.LFUCache cachetools.Cache
    cachetools.FIFOCache cachetools.TLRUCache itertools.cycle
    """.split()  # noqa: SIM905
)
_QUEUES = frozenset(
    """
    queue.Queue queue.LifoQueue queue.PriorityQueue queue.SimpleQueue asyncio.Queue
    asyncio.LifoQueue asyncio.PriorityQueue asyncio.Event threading.Event asyncio.Condition
    threading.Condition
    """.split()  # noqa: SIM905
)
_LOCKS = frozenset(
    """
    threading.Lock threading.RLock asyncio.Lock threading.Semaphore threading.BoundedSemaphore
    asyncio.Semaphore multiprocessing.Lock multiprocessing.RLock
    """.split()  # noqa: SIM905
)
_OF_A_REQUEST = frozenset(
    """
    threading.local contextvars.ContextVar asgiref.local.Local werkzeug.local.Local
    """.split()  # noqa: SIM905
)


class Kind(Enum):
    """What a place holds, as far as its first value tells."""

    CONTAINER = auto()
    COUNTER = auto()  # itertools.count, or a generator
    QUEUE = auto()
    LOCK = auto()
    INSTANCE = auto()  # of a class of the program
    APP = auto()
    VALUE = auto()  # a number, a text, None
    OTHER = auto()  # of a library's class, or the result of a call


@dataclass(frozen=True)
class Place:
    """A variable that lives as long as the process.

    `module` and `name` say where it is made (`shop.views`, `CARTS`; `Cart.items` of a class; `create_app.carts` of
    the function that makes the app; `Cart().items` of an object that lasts); `line` is where. `owner` is `module`,
    `class`, `closure` or `instance`.
    """

    module: Module
    name: str
    line: int
    kind: Kind
    owner: str

    @property
    def full(self) -> str:
        """Its dotted name: `shop.views.CARTS`."""
        return f"{self.module.name}.{self.name}"


def kind_of(module: Module, value: ast.expr, reached: Reached, function: Function | None = None) -> Kind:
    """What a value is, by its display or by what it calls."""
    if isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp):
        return Kind.CONTAINER
    if isinstance(value, ast.GeneratorExp):
        return Kind.COUNTER
    if isinstance(
        value, ast.Constant | ast.Tuple | ast.UnaryOp | ast.JoinedStr | ast.BinOp | ast.Compare | ast.BoolOp
    ):
        return Kind.VALUE
    if not isinstance(value, ast.Call):
        return Kind.OTHER
    meaning = module.meaning(value.func, function) or ""
    if meaning in _CONTAINERS:
        return Kind.CONTAINER
    if meaning == "itertools.count":
        return Kind.COUNTER
    if meaning in _QUEUES:
        return Kind.QUEUE
    if meaning in _LOCKS:
        return Kind.LOCK
    last = meaning.rpartition(".")[2]
    if last in ("FastAPI", "Flask", "Quart", "Sanic", "Starlette", "Application", "Litestar", "Bottle", "Microdot"):
        return Kind.APP
    if (made := reached.program.function(meaning)) is not None:
        return _returned(reached, *made)
    return Kind.INSTANCE if reached.program.class_(meaning) else Kind.OTHER


def _returned(reached: Reached, module: Module, function: Function) -> Kind:
    """What a function of the program gives: by its annotation, what it returns, or as a generator."""
    nodes = tuple(function.body())
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes):
        return Kind.COUNTER
    annotation = getattr(function.node, "returns", None)
    if isinstance(annotation, ast.Subscript):
        annotation = annotation.value
    if annotation is not None and module.meaning(annotation) in _CONTAINERS:
        return Kind.CONTAINER
    values = [node.value for node in nodes if isinstance(node, ast.Return) and node.value is not None]
    displays = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
    return Kind.CONTAINER if values and all(isinstance(each, displays) for each in values) else Kind.OTHER


def place_of(reached: Reached, module: Module, function: Function, name: str) -> Place | None:
    """The lasting place that `name` stands for in `function`; None for a local variable of a request."""
    holder = function.holder(name)
    if holder is not None:
        return _captured(reached, module, function, holder, name)
    meaning = module.meaning(ast.Name(name, ast.Load()), function)
    if meaning is None and name in function.globals:  # bound nowhere else than under `global`
        return Place(module, name, function.node.lineno, Kind.VALUE, "module")
    found = reached.program.locate(meaning) if meaning else None
    return of_module(reached, *found) if found and found[1] else None


def of_module(reached: Reached, module: Module, name: str) -> Place | None:
    """The variable `name` of a module, or `Class.attribute`, as a place."""
    value, owner = module.bindings.get(name), "module"
    if value is None and "." in name:
        outer, _, attribute = name.rpartition(".")
        made = module.classes.get(outer)
        value, owner = (made.attributes.get(attribute) if made else None), "class"
    if value is None or is_of_a_request(module, value):
        return None
    return Place(module, name, value.lineno, kind_of(module, value, reached), owner)


def _captured(reached: Reached, module: Module, function: Function, holder: Function, name: str) -> Place | None:
    """A variable of the function around: it lasts if that ran when the app was made, and not in a request."""
    if holder is function or holder in reached or name in holder.parameters:
        return None
    values = [
        (node.value, node.lineno)
        for node in holder.body()
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        and name in map(last_name, targets(node))
    ]  # fmt: skip
    if not values or is_of_a_request(module, values[0][0]):
        return None
    value, line = values[0]
    return Place(module, f"{holder.name}.{name}", line, kind_of(module, value, reached, holder), "closure")


def is_lock(module: Module, made: Class) -> bool:
    """Whether a class is a lock of its own making, on top of one of the threads': what it notes is who waits."""
    methods = [each.name for each in module.functions if each.owner == made.name]
    verbs = {name.removeprefix(f"{made.name}.").lstrip("_").partition("_")[0] for name in methods}
    if "release" not in verbs or verbs.isdisjoint({"acquire", "reserve"}):
        return False
    values = [value for (owner, _), value in module.attributes.items() if owner == made.name]
    meanings = [module.meaning(each.func) for each in values if isinstance(each, ast.Call)]
    return any(each in _LOCKS or str(each).endswith(".Condition") for each in meanings)


def is_of_a_request(module: Module, value: ast.expr) -> bool:
    """Whether a value gives each thread or request a content of its own; a class that is called so is believed."""
    meaning = module.meaning(value.func) if isinstance(value, ast.Call) else None
    return meaning is not None and (meaning in _OF_A_REQUEST or "Local" in meaning.rpartition(".")[2])

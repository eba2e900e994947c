import array
import collections
import contextvars
import functools
import itertools
import mmap
import sqlite3
import threading

from cachelib_like import SimpleCache

CARTS = {}  # declared: module dict
LOG = []  # declared: list
SEEN = set()  # declared: set
HITS = 0  # declared: module int
RECENT = collections.deque(maxlen=5)  # declared: deque
READINGS = array.array("i", [1])  # declared: array
MAPPED = mmap.mmap(-1, 64)  # declared: mapped
TURNS = itertools.cycle(["a", "b", "c"])  # declared: turns
TICKETS = iter(("a", "b", "c"))  # declared: tickets
COUNTS = collections.defaultdict(int)  # declared: defaultdict
TABLE = collections.OrderedDict(a=1)  # declared: ordered dict
LOCAL = threading.local()  # declared: threading.local
CURRENT = contextvars.ContextVar("current", default="nobody")
CURRENT.set("nobody")
NUMBERS = itertools.count(1)  # declared: counter
DATABASE = sqlite3.connect(":memory:", isolation_level=None)  # declared: memory database
DATABASE.execute("create table hits (n)")
cache = SimpleCache()


class Basket:
    items = {}  # noqa: RUF012  # declared: class attribute
    total = 0


class Limiter:
    __slots__ = ("limit",)

    def __init__(self):
        self.limit = 3  # declared: slot


class Registry:
    def __init__(self):
        self.seen = {}  # declared: instance attribute

    def note(self, name):
        self.seen[name] = self.seen.get(name, 0) + 1  # writes: instance attribute
        return self.seen[name]


registry = Registry()
limiter = Limiter()
LENT = {}


def lending():
    counts = LENT["counts"] = {}
    while True:
        yield counts


lent = lending()


@functools.lru_cache(maxsize=8)  # writes: lru_cache
def price(name):
    return [len(name)]


def default(name, known=[]):  # declared: mutable default  # noqa: B006
    known.append(name)  # writes: mutable default
    return len(known)


def counter():
    count = 0  # declared: closure

    def step():
        nonlocal count
        count += 1  # writes: closure
        return count

    return step


step = counter()

NOTES = []

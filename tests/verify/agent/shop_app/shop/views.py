import decimal
import locale
import os
import secrets
import tempfile
import threading

import cachelib_like
from flask import Flask, current_app

from shop import store
from shop.store import CARTS, registry

app = Flask(__name__)
app.config["SECRET_KEY"] = secrets.token_hex(16)
app.extensions["notes"] = {}


@app.get("/module-dict")
def module_dict():
    CARTS["ann"] = ["one"]  # writes: module dict
    return str(len(CARTS))


@app.get("/module-int")
def module_int():
    store.HITS += 1  # writes: module int
    return str(store.HITS)


@app.get("/list")
def grow_list():
    store.LOG.append("line")  # writes: list
    return str(len(store.LOG))


@app.get("/set")
def grow_set():
    store.SEEN.add("ann")  # writes: set
    return str(len(store.SEEN))


@app.get("/class-attribute")
def class_attribute():
    store.Basket.items["ann"] = 1  # writes: class attribute
    return str(len(store.Basket.items))


@app.get("/class-value")
def class_value():
    store.Basket.total += 5  # writes: class value
    return str(store.Basket.total)


@app.get("/slot")
def slot():
    store.limiter.limit -= 1  # writes: slot
    return str(store.limiter.limit)


@app.get("/lent")
def count_lent():
    counts = next(store.lent)
    counts["ann"] = counts.get("ann", 0) + 1
    return str(counts["ann"])


@app.get("/mutable-default")
def mutable_default():
    return str(store.default("x"))


@app.get("/closure")
def closure():
    return str(store.step())


@app.get("/instance-attribute")
def instance_attribute():
    return str(registry.note("ann"))


@app.get("/lru-cache")
def lru():
    return str(store.price("ann"))  # calls: lru_cache


@app.get("/thread-local")
def thread_local():
    store.LOCAL.hits = getattr(store.LOCAL, "hits", 0) + 1  # writes: threading.local
    return str(store.LOCAL.hits)


@app.get("/context-variable")
def context_variable():
    before = store.CURRENT.get()
    store.CURRENT.set("ann")  # writes: context variable
    return before


@app.get("/array")
def array():
    store.READINGS.append(3)  # writes: array
    return str(list(store.READINGS))


@app.get("/mapped")
def mapped():
    store.MAPPED[0] += 1
    return str(store.MAPPED[0])


@app.get("/umask")
def umask():
    return str(os.umask(0o077))  # writes: umask


@app.get("/locale")
def set_locale():
    before = locale.setlocale(locale.LC_TIME)
    locale.setlocale(locale.LC_ALL, "C.UTF-8")  # writes: locale
    return before


@app.get("/decimals")
def decimals():
    before = decimal.Decimal(1) / 3
    decimal.getcontext().prec = 5  # writes: decimals
    return str(before)


@app.get("/turns")
def turns():
    return next(store.TURNS)  # writes: turns


@app.get("/tickets")
def tickets():
    return next(store.TICKETS)  # writes: tickets


@app.get("/deque")
def deque():
    store.RECENT.append("x")  # writes: deque
    return str(len(store.RECENT))


@app.get("/defaultdict")
def defaultdict():
    store.COUNTS["ann"] += 1  # writes: defaultdict
    return str(store.COUNTS["ann"])


@app.get("/ordered-dict")
def ordered_dict():
    store.TABLE["b"] = 2  # writes: ordered dict
    return str(list(store.TABLE))


@app.get("/library")
def library():
    before = store.cache.get("ann")
    store.cache.set("ann", "1")  # calls: library
    return str(before)


@app.get("/library-module")
def library_module():
    return str(cachelib_like.remember("ann", 1))


@app.get("/counter")
def counter():
    return str(next(store.NUMBERS))  # writes: counter


@app.get("/extension")
def extension():
    current_app.extensions["notes"]["ann"] = 1  # writes: extension
    return str(len(current_app.extensions["notes"]))


@app.get("/environment")
def environment():
    before = os.environ.get("CURRENCY")
    os.environ["CURRENCY"] = "EUR"
    return str(before)


@app.get("/memory-database")
def memory_database():
    store.DATABASE.execute("insert into hits values (1)")  # writes: memory database
    return str(store.DATABASE.execute("select count(*) from hits").fetchone())


@app.get("/file")
def file():
    with open("note.txt", "w") as opened:  # writes: file
        opened.write("x")
    os.replace("note.txt", "kept.txt")  # renames: file
    return tempfile.mkdtemp()  # writes: tempfile


@app.get("/nothing")
def nothing():
    return "nothing"


WRITTEN, NOTICED = threading.Event(), threading.Event()


def notice():
    while True:
        WRITTEN.wait()
        WRITTEN.clear()
        NOTICED.set()


@app.get("/noticed")
def noticed():
    if not store.NOTES:
        threading.Thread(target=notice, daemon=True).start()
    (store.NOTES.append("line"), WRITTEN.set(), NOTICED.wait())  # writes: noticed by a thread
    NOTICED.clear()
    return str(len(store.NOTES))

"""Noise of every kind that apps make is learned from three warm runs, and no clean world deviates."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from fungible.verify.compare import compare, learn, not_judged
from fungible.verify.transcript import Answer, Sent, Transcript

pytestmark = pytest.mark.pure

STEPS = 6


@dataclass
class World:
    """What may legally differ between two runs: numbers, clocks, seeds, identities."""

    number: int
    newborn: bool = False
    pace: float = 0.05
    step: int = 0
    slot: int | None = None
    memory: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(f"world {self.number}")
        self.start = datetime(2026, 3, 1, 10, 0, 0, 700_000, tzinfo=UTC) + timedelta(seconds=self.number * 31.3)
        self.offset = 1000 * (self.number + 1)
        self.placement: list[int] = []

    @property
    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.pace * self.step)

    @property
    def process(self) -> int:
        if self.slot is not None:
            return self.slot
        return self.step if self.newborn else 0

    def of_process(self, what: str) -> random.Random:
        return random.Random(f"{self.number} {self.process} {what}")

    def hex(self, length: int) -> str:
        return "".join(self.random.choices("0123456789abcdef", k=length))

    def urlsafe(self, count: int) -> str:
        return base64.urlsafe_b64encode(self.random.randbytes(count)).decode().rstrip("=")

    def shuffled(self, items: list[Any]) -> list[Any]:
        return random.Random(f"seed {self.number}").sample(items, len(items))


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def itsdangerous(world: World, data: object, key: str = "k", *, pack: bool = False) -> str:
    raw = json.dumps(data).encode()
    said = ("." + b64(zlib.compress(raw))) if pack else b64(raw)
    body = f"{said}.{b64(int(world.now.timestamp()).to_bytes(4, 'big'))}"
    return f"{body}.{b64(hashlib.sha1(f'{key}{body}'.encode()).digest())}"


def django_signed(world: World, data: object) -> str:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    seconds, stamp = int(world.now.timestamp()), ""
    while seconds:
        seconds, digit = divmod(seconds, 62)
        stamp = digits[digit] + stamp
    body = f"{b64(json.dumps(data).encode())}:{stamp}"
    return f"{body}:{b64(hashlib.sha256(body.encode()).digest())}"


def jwt(world: World, **claims: object) -> str:
    now = int(world.now.timestamp())
    said = {**claims, "iat": now, "exp": now + 3600, "jti": world.hex(32)}
    head = json.dumps({"alg": "HS256", "typ": "JWT"}).encode()
    body = f"{b64(head)}.{b64(json.dumps(said).encode())}"
    return f"{body}.{b64(hashlib.sha256(body.encode()).digest())}"


def js(value: object) -> Answer:
    return Answer(200, (("content-type", "application/json"),), json.dumps(value).encode())


def html(text: str, *headers: tuple[str, str]) -> Answer:
    page = f"<!doctype html><html><body>{text}</body></html>"
    return Answer(200, (("content-type", "text/html; charset=utf-8"), *headers), page.encode())


def text(value: str, *headers: tuple[str, str]) -> Answer:
    return Answer(200, (("content-type", "text/plain"), *headers), value.encode())


def us_date(when: datetime) -> str:
    hour, half = when.hour % 12 or 12, "a.m." if when.hour < 12 else "p.m."
    clock = f"{hour} {half}" if when.minute == 0 else f"{hour}:{when.minute:02d} {half}"
    return f"{when:%B} {when.day}, {when.year}, {clock}"


NOISE: dict[str, Callable[[World], Answer]] = {}


def noise(make: Callable[[World], Answer]) -> Callable[[World], Answer]:
    NOISE[make.__name__] = make
    return make


@noise
def ids_by_sequence(w: World) -> Answer:
    made = w.memory.setdefault("ids", [])
    made.append(w.offset + len(made) + 1)
    return js({"id": made[-1], "items": [{"id": i, "url": f"/items/{i}", "n": n} for n, i in enumerate(made)]})


@noise
def uuids(w: World) -> Answer:
    made = w.memory.setdefault("ids", [])
    made.append(str(uuid.UUID(bytes=w.random.randbytes(16), version=4)))
    return js({"made": made[-1], "all": list(made), "short": made[0].split("-")[0]})


@noise
def iso_timestamps(w: World) -> Answer:
    return js({"at": w.now.isoformat(), "second": w.now.isoformat(timespec="seconds"), "day": f"{w.now:%Y-%m-%d}"})


@noise
def second_resolution(w: World) -> Answer:
    w.pace = max(w.pace, 0.31 + w.number * 0.05)
    made = w.memory.setdefault("made", [])
    made.append(f"{w.now:%Y-%m-%d %H:%M:%S}")
    return js({"created": made[-1], "all": list(made), "epoch": int(w.now.timestamp()), "ms": w.now.timestamp()})


@noise
def equal_second(w: World) -> Answer:
    # All warm runs are quick enough to stay within one second; the candidate is not.
    return html(
        f"<p>Saved at {w.now:%H:%M:%S} on {w.now:%d %b %Y}</p>", ("date", format_datetime(w.now, usegmt=True))
    )


@noise
def http_dates(w: World) -> Answer:
    stamp = format_datetime(w.now, usegmt=True)
    cookie = f"a=1; Expires={format_datetime(w.now + timedelta(days=31), usegmt=True)}; Max-Age=2678400; Path=/"
    return text("ok", ("last-modified", stamp), ("date", stamp), ("expires", stamp), ("set-cookie", cookie))


@noise
def spoken_dates(w: World) -> Answer:
    return html(f"<td>{us_date(w.now + timedelta(minutes=w.number))}</td><td>{w.number} seconds ago</td>")


@noise
def csrf_tokens(w: World) -> Answer:
    token = "".join(w.random.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=64))
    return html(
        f'<form><input type="hidden" name="csrfmiddlewaretoken" value="{token}"><input name="q"></form>',
        ("set-cookie", f"csrftoken={token[:32]}; Path=/; SameSite=Lax"),
    )


@noise
def urlsafe_tokens(w: World) -> Answer:
    return html(f'<meta name="csrf" content="{w.urlsafe(32)}"><a href="/reset/{w.urlsafe(9)}/">go</a>')


@noise
def base64_tokens(w: World) -> Answer:
    return js({"key": base64.b64encode(w.random.randbytes(20)).decode(), "next": f"c={w.urlsafe(7)}"})


@noise
def signed_cookies(w: World) -> Answer:
    session = {"user": 1, "csrf": w.memory.setdefault("csrf", w.hex(40))}
    return text(
        "ok",
        ("set-cookie", f"session={itsdangerous(w, session, pack=w.step % 2 == 1)}; HttpOnly; Path=/"),
        ("set-cookie", f"dj={django_signed(w, {'u': 7})}; Path=/"),
    )


@noise
def timed_cookie(w: World) -> Answer:
    stamp = int(w.now.timestamp())
    value = f"2|1:0|10:{stamp}|4:user|4:YW5u|{hashlib.sha256(str(stamp).encode()).hexdigest()}"
    return text("ok", ("set-cookie", f'user="{value}"; Path=/'))


@noise
def csrf_in_form_signed(w: World) -> Answer:
    token = itsdangerous(w, w.memory.setdefault("csrf", w.hex(40)))
    return html(f'<input id="csrf_token" name="csrf_token" type="hidden" value="{token}">')


@noise
def json_web_tokens(w: World) -> Answer:
    return js({"access_token": jwt(w, sub="ann", role="admin"), "token_type": "bearer", "expires_in": 3600})


@noise
def hash_order(w: World) -> Answer:
    names = w.shuffled(["red", "green", "blue", "grey"])
    return html(
        "<ul>" + "".join(f"<li>{name}</li>" for name in names) + "</ul>"
        f"<p class='{' '.join(w.shuffled(['a', 'b', 'c']))}'>{', '.join(names)}</p>",
        ("allow", ", ".join(w.shuffled(["GET", "HEAD", "OPTIONS"]))),
    )


@noise
def hash_order_of_ids(w: World) -> Answer:
    ids = w.memory.setdefault("ids", [w.hex(24) for _ in range(5)])
    return js(
        {"tags": w.shuffled(ids), "by": {i: n for n, i in enumerate(ids)}, "map": w.shuffled([[i] for i in ids])}
    )


@noise
def set_of_lines(w: World) -> Answer:
    return text("\n".join(["# all", *w.shuffled([f"line {n}" for n in range(6)]), "end"]))


@noise
def etags(w: World) -> Answer:
    body = f"{w.number} {w.step}"
    return text("same", ("etag", f'"{hashlib.md5(body.encode()).hexdigest()}"'))


@noise
def mtime_etags(w: World) -> Answer:
    return text("same", ("etag", f'W/"{int(w.now.timestamp())}-512"'))


@noise
def request_ids(w: World) -> Answer:
    rid = w.hex(32)
    return Answer(
        200,
        (("content-type", "application/xml"), ("x-request-id", rid), ("x-amz-id-2", w.urlsafe(24)), ("date", "x")),
        f"<r><RequestId>{rid}</RequestId><HostId>{w.urlsafe(30)}</HostId><Size>{512}</Size></r>".encode(),
    )


@noise
def durations(w: World) -> Answer:
    took = w.random.choice([0.4, 3.21, 12.345, 150.1])
    return html(f"<p>Queries took {took}ms</p><i>{took / 1000:.3f}s</i>", ("x-took", f"{w.random.random():.6f}"))


@noise
def json_durations(w: World) -> Answer:
    return js({"query_ms": w.random.random() * 20, "took": w.random.choice([0, 1, 5, 12]), "rows": 3, "ok": True})


@noise
def pagination_links(w: World) -> Answer:
    last = w.offset + 20
    return Answer(
        200,
        (
            ("content-type", "application/json"),
            ("link", f'<http://127.0.0.1:{8000 + w.number}/items?after={last}&limit=20>; rel="next"'),
        ),
        json.dumps({"next": f"/items?after={last}&limit=20", "cursor": b64(f"id:{last}".encode())}).encode(),
    )


@noise
def file_sizes(w: World) -> Answer:
    size = w.random.randrange(90, 2000)
    return html(f"<td>{size:,} bytes</td><td>{size / 1024:.1f} kB</td><td>total {size}</td>")


@noise
def own_address(w: World) -> Answer:
    return Answer(
        302,
        (("location", f"http://127.0.0.1:{8000 + w.number * 7}/next"), ("content-type", "text/html")),
        f'<a href="http://127.0.0.1:{8000 + w.number * 7}/next">x</a>'.encode(),
    )


@noise
def random_case(w: World) -> Answer:
    return js({"ok": w.random.choice(["a", "bb", "ccc"]), "n": w.random.choice([1, 2.5, 30])})


@noise
def chosen_length(w: World) -> Answer:
    return js({"gc": [w.random.randrange(1000) for _ in range(w.random.randrange(2, 6))]})


@noise
def password_hash(w: World) -> Answer:
    salt = "".join(w.random.choices("abcdefABCDEF0123456789", k=22))
    return text(f"pbkdf2_sha256$870000${salt}${base64.b64encode(w.random.randbytes(32)).decode()}")


@noise
def counting_down(w: World) -> Answer:
    left = 60 - int(w.pace * w.step)
    return Answer(
        429,
        (("content-type", "application/json"), ("retry-after", str(left))),
        json.dumps({"detail": f"Expected available in {left} seconds."}).encode(),
    )


def run(make: Callable[[World], Answer], number: int, *, newborn: bool = False, pace: float = 0.02) -> Transcript:
    world = World(number, newborn, pace)
    answers, sent = [], []
    for step in range(STEPS):
        world.step = step
        host = f"127.0.0.1:{8000 + number * 7}"
        sent.append(Sent("GET", "/page", (("host", host),)))
        answers.append(make(world))
        world.placement.append(world.process)
    return Transcript(f"world {number}", tuple(sent), tuple(answers), placement=tuple(world.placement))


@pytest.mark.parametrize("kind", sorted(NOISE))
def test_clean_worlds_do_not_deviate(kind: str) -> None:
    for first in (0, 20, 40):
        relations = learn([run(NOISE[kind], first + n) for n in range(3)], windows=windows(first))
        for n in range(3, 9):
            clean = run(NOISE[kind], first + n, newborn=n % 2 == 0, pace=0.02 if n % 3 else 0.7)
            assert compare(relations, clean) == (), (kind, first, n)


def windows(first: int) -> list[tuple[float, float]]:
    starts = [World(first + n).start.timestamp() for n in range(3)]
    return [(start, start + 0.1) for start in starts]


@pytest.mark.parametrize("kind", ["pid", "boot id", "host name", "address"])
def test_identity_is_told_apart(kind: str) -> None:
    def page(w: World) -> Answer:
        own = w.of_process(kind)
        value = {
            "pid": str(own.randrange(1000, 30000)),
            "boot id": str(uuid.UUID(bytes=own.randbytes(16))),
            "host name": f"web-{own.randrange(16**6):06x}",
            "address": hex(own.randrange(2**44, 2**47)),
        }[kind]
        return html(f"<p>served by {value}</p><p>{w.step}</p>")

    relations = learn([run(page, n) for n in range(3)])
    assert compare(relations, run(page, 5)) == ()
    found = compare(relations, run(page, 6, newborn=True))
    assert found
    assert all(deviation.identity and deviation.relation == "identity" for deviation in found)


def test_order_that_warm_runs_shared_is_told_apart() -> None:
    def page(w: World) -> Answer:
        methods = ["GET", "POST"] if w.number < 3 else ["POST", "GET"]
        return html(f"<p>{','.join(methods)}</p><ul>{''.join(f'<li><b>{m}</b></li>' for m in methods)}</ul>")

    relations = learn([run(page, n) for n in range(3)])
    found = compare(relations, run(page, 5))
    assert found
    assert all(deviation.order_only for deviation in found)


def test_masks_hide_what_the_user_says() -> None:
    def page(w: World) -> Answer:
        return js({"last_modified": w.number, "inner": {"since": f"v{w.number}", "x": 1}, "a": [w.number, 2]})

    def form(w: World) -> Answer:
        return html(f'<input name="csrf_token" type="hidden" value="{w.number}"><p>a.m. {w.number}</p><b>3</b>')

    masks = [
        r'"last_modified":\s*\d+',
        r'"(since)": ?"[^"]*"',
        r"(?<=\[)\d+",
        r'csrf_token"[^>]*value="[^"]+"',
        r"a\.m\. \d",
    ]
    for make in (page, form):
        relations = learn([run(make, 0)], masks)
        assert compare(relations, run(make, 4)) == ()
    answers = list(run(page, 0).answers)
    answers[2] = js({"last_modified": 0, "inner": {"since": "v0", "x": 2}, "a": [0, 2]})
    changed = Transcript("x", run(page, 0).sent, tuple(answers))
    (found,) = compare(learn([run(page, 0)], masks), changed)
    assert (found.step, found.place, found.expected, found.got) == (2, "body.inner.x", 1, 2)


def test_an_endpoint_of_noise_is_not_judged() -> None:
    def page(w: World) -> Answer:
        return js({"a": w.random.random(), "b": w.random.random(), "c": 1})

    (found,) = not_judged(learn([run(page, n) for n in range(3)]))
    assert found.endpoint == "GET /page"
    assert found.steps == tuple(range(STEPS))

    def flaky(w: World) -> Answer:
        return Answer(200 if w.number else 500, (), b"x") if w.step == 1 else js({"c": 1})

    relations = learn([run(flaky, n) for n in range(3)])
    (found,) = not_judged(relations)
    assert found.steps == (1,)
    assert compare(relations, run(flaky, 0)) == ()


def test_ignored_bodies_are_not_compared() -> None:
    relations = learn([run(NOISE["hash_order"], 0)], ignore_body=range(STEPS))
    other = Transcript("x", run(NOISE["hash_order"], 0).sent, tuple(text("other") for _ in range(STEPS)))
    assert {deviation.place for deviation in compare(relations, other)} <= {"header content-type", "header allow"}


SAME_SECOND: dict[str, Callable[[World], Answer]] = {
    "iso": lambda w: js(
        {"at": w.now.isoformat(timespec="seconds"), "until": f"{w.now + timedelta(days=30):%Y-%m-%d %H:%M:%S}"}
    ),
    "local": lambda w: js({"at": f"{w.now + timedelta(hours=5, minutes=30):%Y-%m-%dT%H:%M:%S+05:30}"}),
    "time": lambda w: html(f"<p>saved at {w.now:%H:%M:%S}</p>"),
    "epoch": lambda w: js({"at": int(w.now.timestamp()), "exp": int(w.now.timestamp()) + 3600}),
    "date header": lambda w: text("x", ("last-modified", format_datetime(w.now, usegmt=True))),
    "spoken": lambda w: html(f"<p>{us_date(w.now)}</p>"),
    "token": lambda w: js({"t": jwt(w, sub="ann")}),
    "cookie": lambda w: text("x", ("set-cookie", f"s={itsdangerous(w, {'a': 1})}; Path=/")),
    "django": lambda w: text(f"value {django_signed(w, [1])}"),
    "cookie dates": lambda w: text("x", ("set-cookie", f"a=1; Expires={format_datetime(w.now, usegmt=True)}")),
}


@pytest.mark.parametrize("kind", sorted(SAME_SECOND))
@pytest.mark.parametrize("with_date", [False, True])
def test_runs_that_share_a_second_do_not_make_it_constant(kind: str, with_date: bool) -> None:
    def at(seconds: float, pace: float) -> Transcript:
        def make(w: World) -> Answer:
            w.start = datetime(2026, 3, 1, 10, 59, 58, tzinfo=UTC) + timedelta(seconds=seconds)
            answer = SAME_SECOND[kind](w)
            date = (("date", format_datetime(w.now, usegmt=True)),) if with_date else ()
            return replace(answer, headers=(*answer.headers, *date))

        return run(make, int(seconds * 100), pace=pace)

    start = datetime(2026, 3, 1, 10, 59, 58, tzinfo=UTC).timestamp()
    windows = None if with_date else [(start, start + 1)] * 3
    relations = learn([at(n / 10, 0.001) for n in range(3)], windows=windows)
    assert compare(relations, at(1, 1.7)) == ()


def test_a_constant_date_is_compared() -> None:
    relations = learn([run(lambda w: js({"due": "2024-02-29T12:00:00Z"}), n) for n in range(3)], windows=windows(0))
    assert compare(relations, run(lambda w: js({"due": "2024-02-29T12:00:01Z"}), 4))


def test_numbers_that_look_like_times_are_none_where_they_are_years_apart() -> None:
    """Flask's ETag of a file ends in a checksum of the file's path, which is a process's own."""
    checksums = (1623396366, 1516310501, 1911951499, 2083459278)

    def served(number: int) -> Transcript:
        return run(lambda w: text("a {}", ("etag", f'"1764294552.25-1834-{checksums[number]}"')), number)

    assert compare(learn([served(number) for number in range(3)]), served(3)) == ()


def test_keys_of_a_store_that_are_drawn_by_chance_are_names_whatever_marks_are_in_them() -> None:
    chance = random.Random("keys")

    def drawn(size: int) -> str:
        return base64.urlsafe_b64encode(chance.randbytes(size)).decode().rstrip("=")

    def world(number: int) -> Transcript:
        ids = [drawn(32)]
        store: dict[str, list[dict[str, Any]]] = {
            f"key session:{each}": [{"type": "hash", "expires": True}, {"field": "form", "value": drawn(16)}]
            for each in ids
        }
        store["key of:ann"] = [{"type": "set"}, *({"member": f"session:{each}"} for each in sorted(ids))]
        store["table sessions"] = [{"id": each, "user": "ann"} for each in sorted(ids)]
        answer = Answer(200, (("set-cookie", f"sid={ids[0]}; Path=/"),))
        return Transcript("warm", (Sent("GET", "/"),), (answer,), {"STORE": dict(sorted(store.items()))}, (0,))

    for number in range(150):
        warm = [world(4 * number + run) for run in range(3)]
        other = world(4 * number + 3)
        assert compare(learn(warm), other) == (), number

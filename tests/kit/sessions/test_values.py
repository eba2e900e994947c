"""Values come back as they were, records as they were packed, and importing the kit costs nothing."""

from __future__ import annotations

import contextlib
import datetime
import json
import subprocess
import sys
import zoneinfo
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from fungible_kit.sessions import JsonCodec, Misconfigured, NotStorable, Sessions
from fungible_kit.sessions import codec as codec_module
from fungible_kit.sessions.identity import key_of, new_id, public_id
from fungible_kit.sessions.lifetime import Lifetime
from fungible_kit.sessions.record import Record, packed, unpacked
from fungible_kit.sessions.stores import open_store
from fungible_kit.sessions.stores.valkey_script import hash_of, record_of

pytestmark = pytest.mark.pure

offsets = st.integers(-23, 23).map(lambda hours: datetime.timezone(datetime.timedelta(hours=hours)))
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary()
    | st.datetimes(timezones=st.none() | st.just(datetime.UTC) | offsets)
    | st.dates()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.text(alphabet="<>&abc").map(Markup)
)
names = st.text() | st.sampled_from(["@tuple", "@dict", "@bytes", "@x", ""])
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.dictionaries(names, inner) | st.lists(inner).map(tuple),
    max_leaves=20,
)


def shape(value: Any) -> Any:
    """A value with the types that equality overlooks (True and 1, 1.0 and 1, -0.0 and 0.0)."""
    if isinstance(value, (list, tuple)):
        return (type(value), [shape(item) for item in value])
    if isinstance(value, dict):
        return (dict, [(name, shape(item)) for name, item in value.items()])
    if isinstance(value, datetime.datetime):
        return (type(value), value.isoformat(), value.fold)
    return (type(value), str(value) if isinstance(value, float) else value)


@settings(deadline=None)
@given(values)
def test_every_value_comes_back_with_its_types(value: Any) -> None:
    codec = JsonCodec()
    data = codec.encode("v", value)
    back = codec.decode("v", data)
    assert shape(back) == shape(value)
    assert codec.encode("v", back) == data and not codec.changed("v", data, value)
    json.loads(data)  # and is JSON to everybody else


@contextlib.contextmanager
def without_msgspec() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec_module, "_msgspec", lambda: None)
        yield


@settings(deadline=None)
@given(values)
def test_values_are_the_same_with_and_without_msgspec(value: Any) -> None:
    codec = JsonCodec()
    data = codec.encode("v", value)
    fast = codec.decode("v", data)
    with without_msgspec():
        assert codec.encode("v", value) == data and shape(codec.decode("v", data)) == shape(fast)


@pytest.mark.parametrize("msgspec", [True, False])
@settings(deadline=None)
@given(values, values)
def test_what_is_taken_for_the_same_is_the_same(msgspec: bool, one: Any, other: Any) -> None:
    with contextlib.nullcontext() if msgspec else without_msgspec():
        codec = JsonCodec()
        data = codec.encode("v", [one])
        value = codec.decode("v", data)
        mark = codec.mark("v", value, data)
        assert codec.same("v", value, mark)
        value[0] = other
        if codec.same("v", value, mark):
            assert shape(one) == shape(other)


@pytest.mark.parametrize("msgspec", [True, False])
@pytest.mark.parametrize(
    ("was", "put"),
    [(1, True), (1, 1.0), (0.0, -0.0), ([1], (1,)), ("1", 1), ({"1": 2}, {1: 2}), ("a", b"a"), (1, {1})],
)
def test_a_nested_change_of_type_alone_is_seen(msgspec: bool, was: Any, put: Any) -> None:
    with contextlib.nullcontext() if msgspec else without_msgspec():
        codec = JsonCodec()
        data = codec.encode("v", {"at": was})
        value = codec.decode("v", data)
        mark = codec.mark("v", value, data)
        value["at"] = put
        assert not codec.same("v", value, mark)


@settings(deadline=None)
@given(st.binary())
def test_bytes_of_anybody_are_a_value_or_one_sentence(data: bytes) -> None:
    from fungible_kit.sessions import SessionError

    try:
        JsonCodec().decode("v", data)
    except SessionError as error:
        assert "not written by this codec" in str(error)


def test_the_same_value_in_other_bytes_is_no_change() -> None:
    codec = JsonCodec()
    assert not codec.changed("v", b'{"a": [1, "\\u00e9"]}', {"a": [1, "é"]})
    assert codec.changed("v", b'{"a": [1, "\\u00e9"]}', {"a": [1, "e"]})
    assert codec.changed("v", b"[1]", [True])


def test_what_contains_itself_or_a_named_zone_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    for value in (loop, datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))):
        with pytest.raises(NotStorable, match=r"session\['v'\]"):
            JsonCodec().encode("v", value)


times = st.integers(0, 2**40)
records = st.builds(
    Record,
    st.dictionaries(st.text(min_size=1).filter(lambda name: name[0] != "\0" and _utf8(name)), st.binary()),
    times,
    times,
    times,
    times,
    user=st.none() | st.text(min_size=1).filter(lambda text: _utf8(text)),
    rotated=times,
    version=st.integers(1, 2**60),
    moved_to=st.none() | st.just("fs:x"),
)


def _utf8(text: str) -> bool:
    return not any(0xD800 <= ord(sign) <= 0xDFFF for sign in text)


@settings(deadline=None)
@given(records)
def test_records_are_unpacked_as_they_were_packed(record: Record) -> None:
    assert unpacked(packed(record)) == record
    flat = [item if isinstance(item, bytes) else str(item).encode() for item in hash_of(record)]
    assert record_of(flat) == record


@settings(deadline=None)
@given(st.binary())
def test_bytes_that_are_no_record_are_refused(data: bytes) -> None:
    try:
        unpacked(data)
    except ValueError as error:
        assert "not a session of ours" in str(error)


def test_a_public_id_is_the_first_twelve_digits_of_the_hash() -> None:
    import hashlib

    id = new_id()
    assert public_id(key_of(id)) == hashlib.sha256(id.encode()).hexdigest()[:12]


def test_a_touch_is_due_after_a_tenth_of_the_limit_and_not_before_a_minute() -> None:
    assert not Lifetime(idle=1800).touch_due(0, 179) and Lifetime(idle=1800).touch_due(0, 180)
    assert not Lifetime(idle=300).touch_due(0, 59) and Lifetime(idle=300).touch_due(0, 60)
    assert Lifetime(idle=60).touch_due(0, 30)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"store": "mysql://h/d"}, "known: valkey://, redis://, memcached://, postgres://, sqlite://"),
        ({"store": "sqlite://"}, "names no file"),
        ({"store": "sqlite://host/x"}, "names no file"),
        ({"store": "memcached://"}, "memcached://host:port"),
        ({"store": "memcached://h:p"}, "memcached://host:port"),
        ({"store": 7}, "neither a URL nor a session store"),
        ({"store": "sqlite:///x", "idle": "soon"}, "no duration"),
        ({"store": "sqlite:///x", "conflict": "maybe"}, "neither 'merge' nor 'raise'"),
        ({"store": "sqlite:///x", "on_store_error": "ignore"}, "neither 'unavailable' nor 'anonymous'"),
        ({}, "FUNGIBLE_SESSION_URL=valkey://"),
    ],
)
def test_a_setting_that_does_not_fit_is_one_sentence(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        Sessions(**settings)._sync_store()
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_a_password_in_a_url_is_in_no_message() -> None:
    faces = open_store("valkey://:s3cret@127.0.0.1:1/0")
    with pytest.raises(Exception, match="session store") as refused:
        faces.sync().read("fs:x")
    assert "s3cret" not in str(refused.value) + repr(refused.value)


def test_importing_the_kit_loads_nothing_and_its_sessions_only_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import fungible_kit; first = set(sys.modules) - before;"
        "from fungible_kit import Sessions, Session, Cookie; Sessions('valkey://h');"
        "names = {name.partition('.')[0] for name in set(sys.modules) - before} - {'fungible_kit'};"
        "print(sorted(first)); print(sorted(names - set(sys.stdlib_module_names)))"
    )
    argv = [sys.executable, "-I", "-S", "-c", _with_kit(code)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["['fungible_kit']", "[]"], done.stdout + done.stderr


def _with_kit(code: str) -> str:
    import fungible_kit

    root = str(fungible_kit.__path__[0]).rsplit("/", 1)[0]
    return f"import sys; sys.path.insert(0, {root!r}); import __future__, importlib, typing; {code}"

"""Paths in words, places, culprits; and values that travel. No process."""

from __future__ import annotations

import collections
import ctypes
import datetime
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fungible.verify.blame.agent
from fungible.verify.blame.agent import ObjectPath, differing_atoms
from fungible.verify.blame.agent.naming import relative_place
from fungible.verify.blame.agent.told import Greeting
from fungible.verify.blame.culprit import culprit_of_file
from tests.verify.agent.serving import path_of

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([["m", "shop.views"], ["a", "CARTS"], ["k", "ann"]], "shop.views.CARTS['ann']"),
        ([["m", "shop"], ["a", "T"], ["k", {"t": [1, {"b": "YQ=="}]}], ["i", 0]], "shop.T[(1, b'a')][0]"),
        ([["m", "__main__"], ["a", "add"], ["d", 0]], "server.add.__defaults__[0]"),
        ([["m", "shop"], ["a", "local"], ["t", 0], ["a", "user"]], "shop.local.user"),
        ([["fn", ["shop", "make.<locals>.view"]], ["c", "carts"]], "shop.make.<locals>.view.<closure carts>"),
        ([["m", "os"], ["a", "environ"], ["a", "_data"], ["k", {"b": "WA=="}]], "os.environ['X']"),
    ],
)
def test_a_path_reads_like_python(steps: list[list[object]], text: str) -> None:
    path = ObjectPath.of(steps)
    assert path.text("server") == text
    assert ObjectPath.of(path.steps) == path


def test_paths_of_one_shape_differ_in_keys_alone() -> None:
    one, other = (ObjectPath.of([["m", "shop"], ["a", "S"], ["k", key], ["a", "cart"]]) for key in ("x", "y"))
    assert one != other and one.shape == other.shape
    assert one.shape != ObjectPath.of([["m", "shop"], ["a", "T"], ["k", "x"], ["a", "cart"]]).shape


def test_places_are_relative_to_the_app_or_to_the_packages() -> None:
    assert relative_place("/srv/app/shop/views.py", 9, "/srv/app") == "shop/views.py:9"
    assert (
        relative_place("/srv/app/.venv/lib/site-packages/cachelib/simple.py", 42, "/srv/app")
        == "cachelib/simple.py:42"
    )
    assert relative_place("/elsewhere/x.py", 1, "/srv/app") == "/elsewhere/x.py:1"
    culprit = culprit_of_file("/srv/app/uploads/a.txt", "/srv/app", ("/srv/app/shop/views.py", 3))
    assert (culprit.object, culprit.file, culprit.written_at) == (None, "uploads/a.txt", "shop/views.py:3")


def test_differing_atoms_are_those_of_both_boots() -> None:
    near, far, single, same = (path_of("shop", *names) for names in (("K",), ("a", "k"), ("N",), ("S",)))
    first = {far: "1", near: "1", single: "1", same: "1"}
    assert differing_atoms(first, {far: "2", near: "2", same: "1"}) == (near, far)


def inside(name: str) -> ModuleType:
    """A module of the agent, loaded as it is in an app."""
    folder = str(Path(fungible.verify.blame.agent.__file__).parent / "inside")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(f"_fungible_agent.{name}")
    finally:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def carry() -> ModuleType:
    """What carries values."""
    return inside("carry")


def test_only_numbers_are_taken_from_a_buffer_and_no_pointers() -> None:
    view = inside("containers").ViewFacet()
    numbers = (ctypes.c_int * 2)(3, 4)
    taken = view.read(numbers)
    numbers[0] = 5
    view.restore(numbers, taken, None)
    assert list(numbers) == [3, 4]
    assert view.read((ctypes.py_object * 2)()) is None
    assert view.read((ctypes.c_char_p * 2)()) is None
    assert view.read(b"read-only") is None
    assert view.read(object()) is None


def test_the_app_is_what_is_neither_installed_nor_the_standard_library(tmp_path: Path) -> None:
    places = inside("places")
    places.begin(str(tmp_path / "app"))
    environment = tmp_path / "app" / ".venv"
    environment.mkdir(parents=True)
    (environment / "pyvenv.cfg").touch()
    own = [tmp_path / "app" / "shop.py", tmp_path / "elsewhere" / "shop" / "views.py"]
    installed = [
        environment / "lib" / "python3.11" / "site-packages" / "flask" / "app.py",
        environment / "bin" / "gunicorn",
        Path("/usr/local/bin/gunicorn"),
        Path("/usr/lib/python3/dist-packages/flask/app.py"),
        Path(fungible.verify.blame.agent.__file__),
    ]
    assert [places.kind_of(str(path)) for path in own] == [places.OWN] * len(own)
    assert [places.kind_of(str(path)) for path in installed] == [places.FOREIGN] * len(installed)
    assert places.kind_of(json.__file__) == places.SKIPPED


atoms = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.datetimes() | st.dates() | st.timedeltas() | st.uuids() | st.decimals(allow_nan=False)
)  # fmt: skip
hashable = st.recursive(atoms, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4)
values = st.recursive(
    hashable,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
        | st.lists(inner, max_size=3).map(lambda members: collections.deque(members, maxlen=9))
        | st.dictionaries(st.text(), inner, max_size=3).map(collections.OrderedDict)
    ),
    max_leaves=12,
)


@given(value=values)
def test_what_is_carried_arrives(carry: ModuleType, value: object) -> None:
    wire = json.loads(json.dumps(carry.Export().encode(value)))
    arrived = carry.Import().decode(wire)
    assert arrived == value and type(arrived) is type(value)


class Cart:
    def __init__(self) -> None:
        raise RuntimeError("an implant runs no code of the app")


def test_instances_and_shared_objects_arrive(carry: ModuleType) -> None:
    cart = object.__new__(Cart)
    cart.lines = [datetime.date(2020, 1, 2)]
    ring: list[object] = [cart, cart.lines]
    ring.append(ring)
    arrived = carry.Import().decode(json.loads(json.dumps(carry.Export().encode(ring))))
    assert type(arrived[0]) is Cart and arrived[0].lines == cart.lines
    assert arrived[1] is arrived[0].lines and arrived[2] is arrived


def test_what_cannot_be_carried_is_said(carry: ModuleType) -> None:
    for value, said in ((lambda: 1, "function"), ([sys], "module"), ({"f": open}, "builtin_function")):
        with pytest.raises(carry.Impossible, match=said):
            carry.Export().encode(value)


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("python /v/bin/notes-board --port 8000", "notes_board"),
        ("python -m synapse.app.homeserver -c hs.yaml", "synapse"),
        ("python /v/bin/gunicorn -w 1 -b 127.0.0.1:8000 shop.wsgi:app", "shop"),
        ("python /v/bin/gunicorn shop:create_app('test')", "shop"),
    ],
)
def test_the_package_of_the_command_is_known(command: str, program: str) -> None:
    programs = Greeting(1, 0, 1, tuple(command.split()), "3.11", "/app").programs
    assert program in programs
    assert "gunicorn" not in programs

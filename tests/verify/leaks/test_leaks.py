"""Every class of leak that a sequential workload can show is found, made minimal and blamed on the right line; its
mended twin shows no difference, nor does what only looks like state.

The classes are tiny modules of a few apps, for speed; each finding is one module's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from fungible.verify import examine
from fungible.verify.findings import Difference, Findings
from tests.verify.leaks import boots, caches, clean, files, memory, places
from tests.verify.leaks.experiments import run, write_app
from tests.verify.leaks.leak import Leak, matches

pytestmark = pytest.mark.timeout(900)

ALL = (*memory.ALL, *places.ALL, *caches.ALL, *boots.ALL, *files.ALL)
TOGETHER = tuple(each for each in ALL if not each.alone)
_APPS = 6
"""More modules are more to ask of each difference, which the others may explain; fewer are more warm worlds."""
APPS = {each.name: TOGETHER[number % _APPS :: _APPS] for number, each in enumerate(TOGETHER)}
APPS |= {each.name: (each,) for each in ALL if each.alone}
TWINS = (ALL[::2], ALL[1::2])


def _cases(leaks: Sequence[Leak]) -> list[Any]:
    """These leaks as cases; those of one app run in one worker, where it is verified once."""
    return [pytest.param(each, id=each.name, marks=_with(APPS[each.name])) for each in leaks]


def _by_first(apps: Iterable[Sequence[Leak]]) -> dict[str, Sequence[Leak]]:
    return {modules[0].name: modules for modules in apps}


def _with(modules: Sequence[Leak]) -> pytest.MarkDecorator:
    return pytest.mark.xdist_group(f"leaks with {modules[0].name}")


Verify = Callable[[Sequence[Leak], bool], Findings]


@pytest.fixture(scope="module")
def verify(tmp_path_factory: pytest.TempPathFactory) -> Verify:
    """The findings of an app of some modules, each app verified once."""
    known: dict[tuple[tuple[str, ...], bool], Findings] = {}

    def verified(modules: Sequence[Leak], mended: bool) -> Findings:
        key = (tuple(each.name for each in modules), mended)
        if key not in known:
            folder: Path = tmp_path_factory.mktemp("leaks")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(examine, "EXAMINE_SECONDS", 3600.0)  # a slow machine is no reason to examine less
                known[key] = run(write_app(folder / "app", modules, mended=mended), folder / "state")
        return known[key]

    return verified


def _offset(leak: Leak) -> int:
    """Where the steps of a module begin in its app's workload."""
    modules = APPS[leak.name]
    return sum(len(each.requests) for each in modules[: modules.index(leak)])


def _difference(verify: Verify, leak: Leak) -> Difference:
    """The difference at this module's steps; there is one."""
    findings = verify(APPS[leak.name], False)
    assert findings.verdict == "stateful", findings.reasons
    begin = _offset(leak)
    steps = range(begin, begin + len(leak.requests))
    at = [each for each in findings.differences if each.observer in steps]
    assert len(at) == 1, [(each.requests, each.culprit) for each in findings.differences]
    return at[0]


@pytest.mark.parametrize("leak", _cases(ALL))
def test_a_leak_is_found_and_minimal(verify: Verify, leak: Leak) -> None:
    difference = _difference(verify, leak)
    assert difference.minimal
    assert difference.shown == difference.tried == 3
    kept = [step - _offset(leak) for step in difference.case.kept]
    assert [leak.requests[step] for step in kept] == [leak.requests[step] for step in leak.minimal]
    assert len(set(difference.case.slots)) == 2


@pytest.mark.parametrize("leak", _cases([each for each in ALL if not each.unnamed]))
def test_a_leak_is_blamed_on_the_object_and_its_line(verify: Verify, leak: Leak) -> None:
    culprit = _difference(verify, leak).culprit
    assert matches(leak.held_by, culprit.object, culprit.file), culprit
    assert culprit.confirmed == leak.proved, culprit
    assert culprit.written_at in leak.lines or culprit.declared_at in leak.lines, (culprit, leak.lines)


@pytest.mark.parametrize(
    ("leak", "outdated"),
    [
        pytest.param(caches.NEVER, True, marks=_with(APPS["never"])),
        pytest.param(caches.ROWS, False, marks=_with(APPS["rows"])),
    ],
)
def test_what_is_stored_is_expected_whoever_shows_it(verify: Verify, leak: Leak, outdated: bool) -> None:
    told = _difference(verify, leak).deviation
    assert (told.kind, told.expected, told.got, told.outdated) == ("stale", 99, 10, outdated)


@pytest.mark.parametrize("leak", _cases([each for each in ALL if each.unnamed]))
def test_nothing_is_blamed_where_nothing_holds_the_state(verify: Verify, leak: Leak) -> None:
    culprit = _difference(verify, leak).culprit
    assert culprit.object is None and culprit.file is None, culprit


@pytest.mark.parametrize("leak", _cases([boots.HASHED]))
def test_the_line_that_asked_for_a_hash_is_told(verify: Verify, leak: Leak) -> None:
    culprit = _difference(verify, leak).culprit
    assert (culprit.where, culprit.confirmed) == ("hash seed", True)
    assert culprit.written_at in leak.lines


@pytest.mark.parametrize("leak", _cases([boots.SEEDING]))
def test_what_a_start_does_to_a_store_is_told(verify: Verify, leak: Leak) -> None:
    culprit = _difference(verify, leak).culprit
    assert (culprit.where, culprit.confirmed) == ("start", True)


@pytest.mark.parametrize("leak", _cases([boots.PROMISE]))
def test_a_thread_that_ends_with_its_process_held_it_in_memory(verify: Verify, leak: Leak) -> None:
    assert _difference(verify, leak).culprit.where == "memory"


@pytest.mark.parametrize(
    "modules",
    [pytest.param(modules, id=name, marks=_with(modules)) for name, modules in _by_first(APPS.values()).items()],
)
def test_nothing_else_differs_in_the_leaking_apps(verify: Verify, modules: Sequence[Leak]) -> None:
    assert len(verify(modules, False).differences) == len(modules)


@pytest.mark.parametrize("modules", TWINS, ids=("first half", "second half"))
def test_mended_twins_show_no_difference(verify: Verify, modules: Sequence[Leak]) -> None:
    _assert_clean(verify(modules, True))


def test_what_only_looks_like_state_shows_no_difference(verify: Verify) -> None:
    findings = verify(clean.ALL, True)
    _assert_clean(findings)
    assert {note.text for note in findings.notes} == {"a process's own name, id or address is shown"}


def _assert_clean(findings: Findings) -> None:
    assert findings.verdict == "no_difference", [
        (each.requests, each.deviation, each.culprit) for each in findings.differences
    ] or findings.reasons
    assert findings.mode == "fork", findings.warnings

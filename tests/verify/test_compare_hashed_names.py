"""Files and folders named by a digest of what varies: `up/ae/93a772…`, as media stores and caches lay them out."""

from __future__ import annotations

import hashlib

import pytest

from fungible.verify.compare import Deviation, compare, learn
from fungible.verify.transcript import Answer, Row, Transcript

pytestmark = pytest.mark.pure

SEEDS = range(60)
CAT: Row = {"mode": "0644", "size": 29, "sha256": "0011b343"}


def world(seed: str, *content: Row, folders: int = 0, left_over: int = 0) -> Transcript:
    """Each file under a digest of an id of its own, and empty folders that others have left."""
    digests = [hashlib.sha1(f"{seed} {number}".encode()).hexdigest() for number in range(400)]
    digests = list({name[:2]: name for name in digests}.values())  # no two in one folder
    dump = {f"file up/{name[:2]}/{name[2:]}": [row] for name, row in zip(digests, content, strict=False)}
    dump |= {f"file up/{name[:2]}/": [{"mode": "0755"}] for name in digests[50 : 50 + folders]}
    dump |= {f"file up/{name[:2]}/{name[2:4]}/": [{"mode": "0755"}] for name in digests[70 : 70 + left_over]}
    return Transcript("w", (None,), (Answer(0),), {"STORE": dump})


def deviations(seed: int, candidate: Transcript, *content: Row, folders: int = 0) -> tuple[Deviation, ...]:
    return compare(learn([world(f"{seed} {run}", *content, folders=folders) for run in range(3)]), candidate)


@pytest.mark.parametrize(("files", "folders"), [(1, 0), (0, 1), (3, 0), (0, 3), (2, 2)])
def test_names_by_a_digest_are_no_difference(files: int, folders: int) -> None:
    content = [CAT] * files
    for seed in SEEDS:
        assert deviations(seed, world(f"{seed} x", *content, folders=folders), *content, folders=folders) == ()


def test_what_is_missing_or_other_or_too_much_is_seen() -> None:
    dog = {**CAT, "sha256": "fe11a9c2"}
    for seed in SEEDS:
        assert deviations(seed, world(f"{seed} x", CAT), CAT, CAT)
        assert deviations(seed, world(f"{seed} x", CAT, dog), CAT, CAT)
        assert deviations(seed, world(f"{seed} x", CAT, CAT, CAT), CAT, CAT)
        assert deviations(seed, world(f"{seed} x"), folders=1)


def test_where_their_number_varies_any_such_name_may_come() -> None:
    for seed in SEEDS:
        warm = [world(f"{seed} {run}", CAT, left_over=run % 2) for run in range(3)]
        assert compare(learn(warm), world(f"{seed} x", CAT, left_over=1)) == ()
        strange = world(f"{seed} x", CAT, left_over=1)
        strange.dumps["STORE"]["file orders.csv"] = [{"text": "ann"}]  # type: ignore[index]
        assert [each.place for each in compare(learn(warm), strange)] == ["file orders.csv"]

"""The whole, on the example app: what `make demo` runs."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.runtime.harness import PATIENCE, Home

ALMANAC = Path(__file__).parents[2] / "examples" / "almanac"


def test_almanac_with_two_webs_a_worker_a_clock_valkey_and_sqlite(home: Home) -> None:
    before = sorted(path for path in ALMANAC.rglob("*") if "__pycache__" not in path.parts)
    with home.start("web=2", "worker=1", "clock=1", "--app", str(ALMANAC)) as formation:
        url = formation.url
        with httpx.Client(trust_env=False, timeout=PATIENCE) as client:
            pages = [client.get(url + "/") for _ in range(6)]
        assert {page.status_code for page in pages} <= {200, 302, 303}
        formation.wait_for(lambda: len(formation.of("router.request", path="/")) == 6)
        who = [event["process"] for event in formation.of("router.request", path="/")]
        assert who == who[:2] * 3
        assert set(who) == {"web.1", "web.2"}
        formation.wait("process.ready", "worker.1")
        formation.wait("process.ready", "clock.1")
        assert formation.stop() == 0
    home.wait_until_gone()
    assert home.left == []
    assert sorted(path for path in ALMANAC.rglob("*") if "__pycache__" not in path.parts) == before
    assert not any(event.get("crashed") for event in formation.of("process.ended"))
